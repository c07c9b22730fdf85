import type { Endpoint } from './llm.ts'

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
  /** whether agents may start MCP servers as commands; default true */
  mcpCommands?: boolean
  /** where MCP servers may be that agents connect to; default `any` */
  mcpHosts?: 'loopback' | 'any'
  /** a file that keeps the state over restarts; without one it is gone at the end */
  stateFile?: string
}
