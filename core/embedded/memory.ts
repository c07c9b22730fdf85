import { seconds } from './envelope.ts'

/** One message as the sessions keep it. */
export interface StoredMessage {
  role: 'user' | 'assistant'
  text: string
  timestamp: number
  user_id: string
  session_id: string
  request_id: string
  /** the agent that answered, or was asked */
  agent_id: string
}

export interface Session {
  session_id: string
  user_id: string
  message_count: number
  active: boolean
  created_at: number
  last_activity: number
}

const most = 2000

/** The messages of all users in one ring: when it is full, the oldest go, whosesoever they are. */
export class Memory {
  #ring: StoredMessage[]

  constructor (messages: StoredMessage[] = []) {
    this.#ring = messages.slice(-most)
  }

  get all (): readonly StoredMessage[] {
    return this.#ring
  }

  add (message: Omit<StoredMessage, 'timestamp'>): void {
    this.#ring.push({ ...message, timestamp: seconds() })
    if (this.#ring.length > most) this.#ring.shift()
  }

  /** Messages of a user, oldest first. */
  of (user: string, session?: string): StoredMessage[] {
    return this.#ring.filter(({ user_id: of, session_id: id }) => of === user && (session === undefined || id === session))
  }

  /** Sessions of a user, the one used last first. */
  sessions (user: string): Session[] {
    const found = new Map<string, Session>()
    for (const { session_id: id, timestamp } of this.of(user)) {
      const known = found.get(id) ?? { session_id: id, user_id: user, message_count: 0, active: true, created_at: timestamp, last_activity: 0 }
      found.delete(id)
      found.set(id, { ...known, message_count: known.message_count + 1, last_activity: timestamp })
    }
    return [...found.values()].reverse()
  }

  /** Forgets messages of a user; says how many they were. */
  clear (user: string, session?: string): number {
    const gone = new Set(this.of(user, session))
    this.#ring = this.#ring.filter((message) => !gone.has(message))
    return gone.size
  }
}
