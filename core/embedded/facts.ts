import { newId, seconds } from './envelope.ts'
import { TextIndex, type Hit } from './text-index.ts'

/** What is remembered of a user beyond a session: one of the Core's memories. */
export interface Fact {
  id: string
  user_id: string
  content: string
  metadata: Record<string, unknown>
  scope: string
  scope_id: string | null
  created_at: number
  /** the agent that was told */
  agent_id?: string
  /** the request in which it was told */
  message_id?: string
}

const most = 10_000
const statements: [RegExp, (...found: string[]) => string][] = [
  [/^(?:please\s+)?remember(?:\s+that)?[\s:,]+(.+)$/i, (said) => capital(said)],
  [/^(?:hi[\s,]+|hello[\s,]+)?(?:my name is|call me|i am called|i'm called)\s+(.+)$/i, (name) => `Name is ${name}`],
  [/^(?:and\s+)?my\s+(?!(?:question|problem|issue|point|answer|guess)s?\b)([\p{L}\p{N} '-]{2,60}?)\s+(is|are)\s+(.+)$/iu, (what, verb, value) => `${capital(what)} ${verb} ${value}`],
  [/^(?:and\s+)?i\s+(live|work|study|come from|like|love|prefer|hate|speak)\s+(.+)$/i, (verb, rest) => `${capital(third(verb))} ${rest}`],
  [/^(?:and\s+)?(?:i am|i'm)\s+(from\s.+|allergic\s.+|\d{1,3}\s+years?\s+old.*)$/i, (rest) => `Is ${rest}`],
  [/^(?:and\s+)?i\s+was\s+born\s+(.+)$/i, (rest) => `Was born ${rest}`]
]

/** Lasting facts of all users; beyond 10,000 the oldest go. */
export class Facts {
  #all: Fact[]

  constructor (all: Fact[] = []) {
    this.#all = all
  }

  get all (): readonly Fact[] {
    return this.#all
  }

  /** Keeps a fact; one that the same agent was told before is kept once. */
  add (fact: Pick<Fact, 'user_id' | 'content'> & Partial<Fact>): Fact {
    const known = this.#all.find(({ user_id: user, content, agent_id: agent }) => agent !== undefined && user === fact.user_id && content === fact.content && agent === fact.agent_id)
    if (known) return known
    const added = { metadata: {}, scope: 'user', scope_id: null, ...fact, id: newId('mem'), created_at: seconds() }
    this.#all.push(added)
    if (this.#all.length > most) this.#all.shift()
    return added
  }

  /** Facts of a user, newest first. */
  of (user: string): Fact[] {
    return this.#all.filter(({ user_id: of }) => of === user).reverse()
  }

  /** Forgets a fact, whosesoever it is, as the real Core does. */
  remove (id: string): boolean {
    const at = this.#all.findIndex((fact) => fact.id === id)
    if (at >= 0) this.#all.splice(at, 1)
    return at >= 0
  }

  /** What an agent was told, by one user or by all, that resembles the query. */
  async search (agent: string, { query, user, limit }: { query: string, user: string | undefined, limit: number }): Promise<(Fact & Pick<Hit, 'similarity'>)[]> {
    const told = new Map(this.#told(agent, user).map((fact) => [fact.id, fact]))
    const index = new TextIndex()
    await index.add([...told.values()].map(({ id, content }) => ({ id, text: content })))
    return index.search(query, { limit }).flatMap(({ id, similarity }) => {
      const fact = told.get(id)
      return fact ? [{ ...fact, similarity }] : []
    })
  }

  /** Forgets what an agent was told, by one user or by all; says how much that was. */
  clear (agent: string, user?: string): number {
    const gone = new Set(this.#told(agent, user))
    this.#all = this.#all.filter((fact) => !gone.has(fact))
    return gone.size
  }

  #told (agent: string, user: string | undefined): Fact[] {
    return this.#all.filter(({ agent_id: of, user_id: from }) => of === agent && (user === undefined || from === user))
  }
}

/** The facts about its writer that a message states, one for each sentence at most; questions state none. */
export function factsIn (message: string): string[] {
  const sentences = message.slice(0, 10_000).match(/[^.!?\n]+(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]?/g) ?? []
  return sentences.flatMap((sentence) => {
    const said = sentence.trim().replace(/[.!,;\s]+$/, '').slice(0, 500)
    if (said.endsWith('?')) return []
    for (const [pattern, fact] of statements) {
      const found = pattern.exec(said)
      if (found) return [fact(...found.slice(1).map((part) => part.trim()))]
    }
    return []
  })
}

function capital (text = ''): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function third (verb = ''): string {
  return verb.replace(/^\w+/, (word) => word.endsWith('y') ? `${word.slice(0, -1)}ies` : `${word}s`)
}
