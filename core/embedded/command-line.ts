/** Splits a command line as a shell would, quotes and backslashes respected, and nothing expanded; undefined when a quote stays open. */
export function splitCommand (line: string): string[] | undefined {
  const words: string[] = []
  let word: string | undefined
  let quote: string | undefined
  for (let at = 0; at < line.length; at++) {
    const char = line.charAt(at)
    const next = line[at + 1]
    if (quote === undefined && /\s/.test(char)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else if (char === quote) {
      quote = undefined
    } else if (quote === undefined && (char === '"' || char === "'")) {
      quote = char
      word ??= ''
    } else if (char === '\\' && next !== undefined && (quote === undefined || (quote === '"' && /["\\]/.test(next)))) {
      word = (word ?? '') + next
      at++
    } else {
      word = (word ?? '') + char
    }
  }
  if (quote !== undefined) return undefined
  return word === undefined ? words : [...words, word]
}
