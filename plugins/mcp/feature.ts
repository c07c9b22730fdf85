import type { CallToolResult, InputRequiredResult, Server, ServerCapabilities, ServerContext } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import type { TaskSupport } from './tasks/wire.ts'
import type { ToolDefinition } from './tools.ts'

/** A part of what the protocol offers here, beside the operations as tools. What it does it does as the caller of `request`. */
export interface Feature {
  /** What a server says that it can, in addition (`tools` is said anyway). */
  capabilities?: ServerCapabilities
  tools?: {
    /** Those that the caller may call, in a stable order. */
    list: (request: FastifyRequest) => Promise<ToolDefinition[]>
    /** Calls one; undefined where there is none of that name. A failure that a model can act on is a result with `isError`. */
    call: (name: string, args: Record<string, unknown>, request: FastifyRequest, context: ServerContext) => Promise<CallToolResult | InputRequiredResult> | undefined
    /** Whether one of that name may run as a task; where this is missing, none does. */
    tasks?: (name: string) => TaskSupport
  }
  /** Adds handlers of requests to the server of one exchange. */
  install?: (server: Server, request: FastifyRequest) => void
}
