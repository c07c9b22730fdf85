import type { BreakerState } from './breaker.ts'
import type { Leaving } from './departure.ts'
import type { PoolUse } from './target.ts'

/** The Core's wire shapes, as far as this server reads them. Everything may be missing: the Core is not ours. */

export interface CoreAgent {
  id: string
  name?: string
  description?: string
  system_message?: string
  source?: string
  version?: number | string
  /** What a formation declares; `knowledge_sources` is what an agent of the extension has. */
  knowledge?: (CoreKnowledge | string)[] | { enabled?: boolean, sources?: (CoreKnowledge | string)[] }
  llm_models?: { text?: string, settings?: { temperature?: number, top_p?: number } }[]
  model?: { provider?: string, model?: string, temperature?: number, top_p?: number } | string
  memory?: { buffer?: number, long_term?: boolean }
  created_at?: number | string
  updated_at?: number | string
  stats?: { conversations?: number, total_messages?: number, active_users?: number }
  mcp_servers?: CoreMcpServer[]
  knowledge_sources?: CoreKnowledge[]
}

export interface CoreSession { session_id: string, last_activity?: number | string }

export interface CoreMessage {
  text?: string
  metadata?: {
    role?: string
    timestamp?: number | string
    request_id?: string
    /** Who answered, where the Core says it; `agent_id` is always the overlord. */
    answered_by?: string
  }
}

export interface CoreUser { user_id: string, created_at?: number | string, last_seen_at?: number | string, message_count?: number, has_context?: boolean }

/** A server as an agent has it (the extension) or as the formation declares it (`id`, `endpoint`, `args`). */
export interface CoreMcpServer {
  id?: string
  name?: string
  type?: string
  url?: string
  endpoint?: string
  command?: string
  args?: unknown[]
  connected?: boolean
  /** Whether the formation has it switched on. */
  active?: boolean
  stats?: Record<string, number | string>
  available_tools?: { name: string, description?: string, parameters?: object }[]
}

/** A source of the extension, or one of an agent's configuration (`path` instead of an id). */
export interface CoreKnowledge { id?: string, name?: string, path?: string, description?: string, document_count?: number, created_at?: number | string }

export interface CorePassage { content: string, similarity: number, knowledge_id?: string, document_id?: string }

export interface CoreStatus {
  agents?: { count?: number, active?: number }
  stats?: { memory?: { memory_usage_mb?: number } }
  database_status?: string
}

/** The ways to the Core, in the order of the settings, and how they do. */
export interface CoreWays {
  host: string
  in_use: string
  addresses: { name: string, host: string, breaker: BreakerState, breaker_opened: number, connections: PoolUse }[]
  retries: { made: number, denied: number, left: number }
  refused: number
  failovers: number
}

/** A Core bound to one caller: what the parts of this folder need to call it. */
export interface CoreCalls {
  get: <T>(path: string, options?: CallDetails) => Promise<T>
  post: <T>(path: string, body: unknown, options?: CallDetails) => Promise<T>
  patch: <T>(path: string, body: unknown, options?: CallDetails) => Promise<T>
  delete: <T>(path: string, options?: CallDetails) => Promise<T>
}

/** What may be said of one call: see CallOptions. `requestId` is the one under which the Core knows it. */
export interface CallDetails { user?: string, what?: string, ifMatch?: string, signal?: Leaving, requestId?: string }

/** One step of a chat on its way, as the Core's stream tells it. */
export interface CoreToken {
  type: string
  content?: string
  session_id?: string
  stage?: string
  selected_agent?: string
  routing_confidence?: number
  agent_used?: string
  status?: string
  stream_discontinuity?: boolean
  tool_call?: { id?: string, name?: string, parameters?: unknown, output?: unknown, error?: { code?: string, message?: string } }
}
