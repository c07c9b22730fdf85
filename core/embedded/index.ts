import { agentRoutes } from './agent-routes.ts'
import type { StoredAgent } from './agents.ts'
import type { CoreCall } from './calls.ts'
import { chatRoutes } from './chat-routes.ts'
import { contextRoutes } from './context-routes.ts'
import { controlRoutes } from './control-routes.ts'
import { agentMemoryRoutes, factRoutes } from './fact-routes.ts'
import type { Fault } from './faults.ts'
import { type KeyRecord, keyRoutes, newKey } from './keys.ts'
import { knowledgeRoutes } from './knowledge-routes.ts'
import { Listener } from './listener.ts'
import { mcpRoutes } from './mcp-routes.ts'
import { memoryRoutes } from './memory-routes.ts'
import type { EmbeddedCoreOptions } from './options.ts'
import { type ChatRequest, requestRoutes } from './requests.ts'
import type { Route } from './router.ts'
import { savedOf } from './saved.ts'
import { createListener } from './server.ts'
import { readState, StateFile } from './state-file.ts'
import { createState, type State } from './state.ts'
import { systemRoutes } from './system-routes.ts'
import { usageRoutes } from './usage.ts'
import { userRoutes } from './users.ts'

export type { ChatRequest, CoreCall, EmbeddedCoreOptions, Fault, KeyRecord, StoredAgent }

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
  const { stateFile } = options
  const state = await createState(options, stateFile === undefined ? undefined : await readState(stateFile))
  state.keys.set(userKey, { scope: 'user' }).set(adminKey, { scope: 'admin' })

  let comeBack: NodeJS.Timeout | undefined
  const downFor = (ms: number) => {
    clearTimeout(comeBack)
    comeBack = setTimeout(() => { listener.up().catch(() => {}) }, ms)
    listener.down().catch(() => {})
  }
  const listener: Listener = new Listener(host, port, createListener(state, routesOf(state, downFor)))
  await listener.up()
  const file = stateFile === undefined ? undefined : new StateFile(stateFile, () => savedOf(state))
  try {
    await file?.write()
  } catch (err) {
    await listener.down()
    throw err
  }
  if (file) state.changed = () => file.changed()
  for (const agent of state.agents.values()) state.mcp.connectAll(agent).catch(() => {})

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
      await file?.close()
      await state.mcp.close()
    }
  }
}

function routesOf (state: State, downFor: (ms: number) => void): Route[] {
  const served: Route[] = [
    ...systemRoutes(state, () => served),
    ...keyRoutes(state),
    ...agentRoutes(state),
    ...knowledgeRoutes(state),
    ...mcpRoutes(state),
    ...agentMemoryRoutes(state),
    ...chatRoutes(state),
    ...memoryRoutes(state),
    ...factRoutes(state),
    ...requestRoutes(state),
    ...userRoutes(state),
    ...contextRoutes(state),
    ...usageRoutes(state)
  ].filter(({ extension = false }) => state.offers === 'all' || !extension)
  return [...served, ...controlRoutes(state, downFor)]
}
