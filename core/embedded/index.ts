import { existsSync, readFileSync } from 'node:fs'
import { agentRoutes } from './agent-routes.ts'
import { formationAgents, type StoredAgent } from './agents.ts'
import type { CoreCall } from './calls.ts'
import { chatRoutes } from './chat-routes.ts'
import { controlRoutes } from './control-routes.ts'
import { type Fault, Faults } from './faults.ts'
import { type KeyRecord, keyRoutes, newKey } from './keys.ts'
import { Listener } from './listener.ts'
import type { Endpoint } from './llm.ts'
import { Memory } from './memory.ts'
import { memoryRoutes } from './memory-routes.ts'
import { type ChatRequest, requestRoutes, Requests } from './requests.ts'
import type { Route } from './router.ts'
import { createListener } from './server.ts'
import type { State } from './state.ts'
import { systemRoutes } from './system-routes.ts'
import { userRoutes, Users } from './users.ts'

export type { ChatRequest, CoreCall, Fault, KeyRecord, StoredAgent }

export interface EmbeddedCoreOptions {
  /** loopback only; default 127.0.0.1 */
  host?: string
  /** default 0: any free port */
  port?: number
  /** before every path, such as `/api/my-formation` */
  prefix?: string
  /** default: a new one */
  userKey?: string
  /** default: a new one */
  adminKey?: string
  /** an OpenAI-compatible endpoint; without one the built-in model answers */
  llm?: Endpoint
  /** milliseconds between two words of the built-in model; default 0 */
  paceMs?: number
  /** `real`: no more than the real Core has; default `all` */
  offers?: 'all' | 'real'
}

export interface EmbeddedCore {
  url: string
  userKey: string
  adminKey: string
  agents: Map<string, StoredAgent>
  keys: Map<string, KeyRecord>
  /** every request received, the newest last, at most 10,000 */
  calls: CoreCall[]
  /** chats by request id */
  requests: Map<string, ChatRequest>
  /** adds a fault; the function given back removes it */
  fail: (fault: Fault) => () => void
  /** removes all faults */
  heal: () => void
  /** stops listening and cuts every connection, as if killed */
  down: () => Promise<void>
  /** listens again at the same port */
  up: () => Promise<void>
  close: () => Promise<void>
}

/** Starts a small Core of our own on loopback, for development and tests. */
export async function startEmbeddedCore (options: EmbeddedCoreOptions = {}): Promise<EmbeddedCore> {
  const { host = '127.0.0.1', port = 0, userKey = newKey('user'), adminKey = newKey('admin') } = options
  const state = createState(options)
  state.keys.set(userKey, { scope: 'user' }).set(adminKey, { scope: 'admin' })

  let comeBack: NodeJS.Timeout | undefined
  const downFor = (ms: number) => {
    clearTimeout(comeBack)
    comeBack = setTimeout(() => { listener.up().catch(() => {}) }, ms)
    listener.down().catch(() => {})
  }
  const listener: Listener = new Listener(host, port, createListener(state, routesOf(state, downFor)))
  await listener.up()

  const { agents, keys, calls, requests, faults } = state
  return {
    url: listener.origin + state.prefix,
    userKey,
    adminKey,
    agents,
    keys,
    calls,
    requests: requests.byId,
    fail: (fault) => faults.add(fault),
    heal: () => faults.heal(),
    down: () => listener.down(),
    up: () => listener.up(),
    close: async () => {
      clearTimeout(comeBack)
      await listener.down()
    }
  }
}

function createState ({ prefix = '', llm, paceMs = 0, offers = 'all' }: EmbeddedCoreOptions): State {
  const trimmed = prefix.replace(/^\/+|\/+$/g, '')
  const path = trimmed && `/${trimmed}`
  return {
    agents: formationAgents(llm ? { provider: 'openai', model: llm.model ?? 'default' } : { provider: 'built-in', model: 'development' }),
    keys: new Map(),
    calls: [],
    requests: new Requests(),
    memory: new Memory(),
    users: new Users(),
    faults: new Faults(path),
    offers,
    prefix: path,
    paceMs,
    llm,
    version: versionOf(),
    started: Date.now()
  }
}

function routesOf (state: State, downFor: (ms: number) => void): Route[] {
  const served: Route[] = [
    ...systemRoutes(state, () => served),
    ...keyRoutes(state),
    ...agentRoutes(state),
    ...chatRoutes(state),
    ...memoryRoutes(state),
    ...requestRoutes(state),
    ...userRoutes(state)
  ].filter(({ extension = false }) => state.offers === 'all' || !extension)
  return [...served, ...controlRoutes(state, downFor)]
}

/** The version of the package: its file is one folder further up when this one runs compiled. */
function versionOf (): string {
  const file = ['../../package.json', '../../../package.json'].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))
  const { version } = JSON.parse(readFileSync(file ?? '', 'utf8')) as { version: string } // npm refuses a package without one
  return version
}
