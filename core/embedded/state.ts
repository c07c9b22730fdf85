import { existsSync, readFileSync } from 'node:fs'
import { formationAgents, type StoredAgent } from './agents.ts'
import type { CoreCall } from './calls.ts'
import { Contexts } from './contexts.ts'
import { Facts } from './facts.ts'
import { Faults } from './faults.ts'
import type { KeyRecord } from './keys.ts'
import { Knowledge } from './knowledge.ts'
import type { Endpoint } from './llm.ts'
import type { EmbeddedCoreOptions } from './options.ts'
import { Requests } from './requests.ts'
import { agentsOf, type Saved } from './saved.ts'
import { McpServers } from './mcp-servers.ts'
import { Memory } from './memory.ts'
import { Usage } from './usage.ts'
import { Users } from './users.ts'

/** Everything that one embedded Core holds. */
export interface State {
  agents: Map<string, StoredAgent>
  keys: Map<string, KeyRecord>
  calls: CoreCall[]
  requests: Requests
  memory: Memory
  users: Users
  facts: Facts
  contexts: Contexts
  knowledge: Knowledge
  mcp: McpServers
  usage: Usage
  /** to be called when something changed that outlives a restart */
  changed: () => void
  faults: Faults
  offers: 'all' | 'real'
  prefix: string
  paceMs: number
  llm: Endpoint | undefined
  version: string
  /** milliseconds since 1970 */
  started: number
}

/** The state of a Core that starts, with what an earlier one left. */
export async function createState (options: EmbeddedCoreOptions, saved?: Saved): Promise<State> {
  const { prefix = '', llm, paceMs = 0, offers = 'all', mcpCommands = true, mcpHosts = 'any' } = options
  const trimmed = prefix.replace(/^\/+|\/+$/g, '')
  const path = trimmed && `/${trimmed}`
  const formation = formationAgents(llm ? { provider: 'openai', model: llm.model ?? 'default' } : { provider: 'built-in', model: 'development' })
  const knowledge = new Knowledge()
  await knowledge.restore(saved?.knowledge ?? {})
  return {
    agents: saved ? agentsOf(saved, formation) : formation,
    keys: new Map(),
    calls: [],
    requests: new Requests(),
    memory: new Memory(saved?.messages),
    users: new Users(saved?.users),
    facts: new Facts(saved?.memories),
    contexts: new Contexts(Object.entries(saved?.contexts ?? {})),
    knowledge,
    mcp: new McpServers({ commands: mcpCommands, hosts: mcpHosts }),
    usage: new Usage(saved?.usage),
    changed: () => {},
    faults: new Faults(path),
    offers,
    prefix: path,
    paceMs,
    llm,
    version: versionOf(),
    started: Date.now()
  }
}

/** The version of the package: its file is one folder further up when this one runs compiled. */
function versionOf (): string {
  const file = ['../../package.json', '../../../package.json'].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))
  const { version } = JSON.parse(readFileSync(file ?? '', 'utf8')) as { version: string } // npm refuses a package without one
  return version
}
