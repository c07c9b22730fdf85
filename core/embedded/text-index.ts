import MiniSearch, { type SearchResult } from 'minisearch'

export interface Text { id: string, text: string }
export interface Hit extends Text { similarity: number }

const idle = new Set(('a about all am an and any are as at be been but by can could did do does for from had has have he her his how i if in into is it its ' +
  'me my of on or our please she should so some tell than that the their them there they this to us was we were what when where which who why will with would ' +
  'you your').split(' '))
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Khmer}\p{Script=Lao}\p{Script=Myanmar}]/u
const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' })
const mostTerms = 50

/** Texts that can be searched by their words. */
export class TextIndex {
  readonly #texts = new Map<string, string>()
  readonly #index = new MiniSearch<Text>({ fields: ['text'], tokenize: termsOf, processTerm: (term) => term })

  /** Adds texts, in pieces, so that a large one holds nobody up. */
  async add (texts: Text[]): Promise<void> {
    for (const { id, text } of texts) this.#texts.set(id, text)
    await this.#index.addAllAsync(texts, { chunkSize: 50 })
  }

  remove (ids: string[]): void {
    for (const id of ids) this.#texts.delete(id)
    this.#index.discardAll(ids.filter((id) => this.#index.has(id)))
  }

  /** The texts that hold most of the query's words, the best first; a similarity of 1 means all of them, as they stand. */
  search (query: string, { limit, threshold = 0 }: { limit: number, threshold?: number }): Hit[] {
    const terms = [...new Set(termsOf(query))].slice(0, mostTerms)
    const found = this.#index
      .search(terms.join(' '), { prefix: (term) => term.length >= 4, fuzzy: (term) => term.length >= 5 ? 0.2 : false })
      .filter(({ id }) => this.#texts.has(String(id)))
    const weights = weightsOf(terms, found, this.#texts.size)
    const best = Math.max(...found.map(({ score }) => score))
    return found
      .map(({ id, score, ...match }): Hit => {
        const name = String(id)
        // words in common decide, and the score of the index between texts that have the same ones
        const similarity = coverage(weights, match) * (0.85 + 0.15 * score / best)
        return { id: name, text: this.#texts.get(name) ?? '', similarity: Number(similarity.toFixed(4)) }
      })
      .filter(({ similarity }) => similarity > 0 && similarity >= threshold)
      .sort((a, b) => b.similarity - a.similarity)
      .slice(0, limit)
  }
}

/** A text in words as they are compared: without case, accents, plurals, and the words that say nothing. */
export function termsOf (text: string): string[] {
  const plain = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
  const words = unspaced.test(plain)
    ? [...segmenter.segment(plain)].filter(({ isWordLike }) => isWordLike).map(({ segment }) => segment)
    : plain.match(/[\p{L}\p{N}]+/gu) ?? []
  return words.filter((word) => !idle.has(word)).map(singular)
}

function singular (word: string): string {
  if (word.length < 4 || /(?:ss|us|is)$/.test(word)) return word
  return word.replace(/ies$/, 'y').replace(/s$/, '')
}

/** A word that few texts have says more than one that many have. */
function weightsOf (terms: string[], found: SearchResult[], total: number): Map<string, number> {
  const frequency = (term: string) => found.filter(({ queryTerms }) => queryTerms.includes(term)).length
  return new Map(terms.map((term) => [term, 1 + Math.log(1 + total / (1 + frequency(term)))]))
}

function coverage (weights: Map<string, number>, { queryTerms, terms }: Pick<SearchResult, 'queryTerms' | 'terms'>): number {
  let covered = 0
  let whole = 0
  for (const [term, weight] of weights) {
    whole += weight
    if (queryTerms.includes(term)) covered += weight * closeness(term, terms)
  }
  return whole === 0 ? 0 : covered / whole
}

function closeness (term: string, matched: string[]): number {
  if (matched.includes(term)) return 1
  return matched.some((other) => other.startsWith(term)) ? 0.9 : 0.75
}
