import type { StoredAgent } from './agents.ts'
import type { CoreCall } from './calls.ts'
import type { Faults } from './faults.ts'
import type { KeyRecord } from './keys.ts'
import type { Endpoint } from './llm.ts'
import type { Requests } from './requests.ts'
import type { Memory } from './memory.ts'
import type { Users } from './users.ts'

/** Everything that one embedded Core holds. */
export interface State {
  agents: Map<string, StoredAgent>
  keys: Map<string, KeyRecord>
  calls: CoreCall[]
  requests: Requests
  memory: Memory
  users: Users
  faults: Faults
  offers: 'all' | 'real'
  prefix: string
  paceMs: number
  llm: Endpoint | undefined
  version: string
  /** milliseconds since 1970 */
  started: number
}
