/** The Core's wire shapes, as far as this server reads them. Everything may be missing: the Core is not ours. */

export interface CoreAgent {
  id: string
  name?: string
  description?: string
  system_message?: string
  source?: string
  model?: { provider?: string, model?: string, temperature?: number, top_p?: number } | string
  memory?: { buffer?: number, long_term?: boolean }
  created_at?: number | string
  updated_at?: number | string
  stats?: { conversations?: number, total_messages?: number, active_users?: number }
  mcp_servers?: unknown[]
  knowledge_sources?: unknown[]
}

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
