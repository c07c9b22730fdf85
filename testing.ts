import { startEmbeddedCore, type EmbeddedCore, type Fault, type KeyRecord } from './core/embedded/index.ts'

const path = '/v1/auth/introspect'
/** Longer than any patience. */
const neverMs = 3_600_000

/** What a Core says when it is asked of keys. Each of silent, late, garbage, and failing lasts until `heal`, and replaces the one before. */
export interface KeyAnswers {
  /** The key is good, from the next question on. */
  yes: (key: string, record?: Partial<KeyRecord>) => void
  /** The key is good no more, or never was. */
  no: (key: string) => void
  /** Takes each question and never answers. */
  silent: () => void
  /** Answers after so many ms. */
  late: (ms: number) => void
  /** Answers 200 with something that is no verdict; `role` is a verdict of a level that nobody knows. */
  garbage: (kind?: 'html' | 'half' | 'json' | 'empty' | 'role') => void
  /** Answers with a status, as a Core in trouble does; 0: breaks the connection off. */
  failing: (status: number) => void
  heal: () => void
  /** Listens no more and cuts every connection, as if killed. */
  away: () => Promise<void>
  back: () => Promise<void>
  /** How many questions have come so far, answered or not. */
  readonly asked: number
}

/** A Core of its own for a test, with the settings that lead a server to it. */
export interface TestCore extends KeyAnswers {
  /** As environment variables, for `loadConfig({ env })`. */
  settings: Record<string, string>
  userKey: string
  adminKey: string
  close: () => Promise<void>
}

/** Starts a Core on loopback that answers chats, agents and all the rest, and of keys what the test says. */
export async function startTestCore (): Promise<TestCore> {
  const core = await startEmbeddedCore()
  const { url, userKey, adminKey, close } = core
  return Object.assign(answersOf(core), { userKey, adminKey, close, settings: { MUXI_CORE_URI: url, MUXI_CORE_ADMIN_KEY: adminKey, MUXI_CORE_CLIENT_KEY: userKey } })
}

/** The same for a Core that runs already. */
export function answersOf (core: EmbeddedCore): KeyAnswers {
  let heal = () => {}
  const fail = (fault: Fault) => {
    heal()
    heal = core.fail({ ...fault, path })
  }
  return {
    yes: (key, record) => { core.keys.set(key, { scope: 'user', ...record }) },
    no: (key) => { core.keys.delete(key) },
    silent: () => { fail({ delayMs: neverMs }) },
    late: (ms) => { fail({ delayMs: ms }) },
    garbage: (kind = 'html') => { fail(kind === 'role' ? { status: 200, body: '{"active":true,"scope":"superadmin"}' } : { garbage: kind }) },
    failing: (status) => { fail(status === 0 ? { drop: true } : { status }) },
    heal: () => { heal() },
    away: core.down,
    back: core.up,
    get asked () { return core.calls.filter((call) => call.path === path).length }
  }
}
