import { ProtocolErrorCode, Server, SUPPORTED_PROTOCOL_VERSIONS, type CallToolResult, type Implementation, type InitializeResult, type JSONRPCRequest, type Result, type ServerContext, type ServerOptions } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import { noteCall } from './call.ts'
import { metaTools } from './compact.ts'
import type { Offer } from './offer.ts'
import { isHandle, shaped } from './tasks/wire.ts'

type Handler = (request: JSONRPCRequest, context: ServerContext) => Promise<Result>

const versions = new Set(['2026-07-28', ...SUPPORTED_PROTOCOL_VERSIONS])
const metaNames = new Set(metaTools.map(({ name }) => name))

/** Counts one request of the protocol under its OpenTelemetry names. Labels come from closed sets: tools of agents have one name together. */
export function measure ({ app }: Pick<Offer, 'app'>, { headers }: FastifyRequest, done: { method: string, tool?: string | undefined, error?: string | undefined, started: number }): void {
  const version = String(headers['mcp-protocol-version'] ?? '')
  app.metrics.mcp({
    mcp_method_name: done.method,
    gen_ai_tool_name: done.tool ?? '',
    mcp_protocol_version: versions.has(version) ? version : '',
    error_type: done.error ?? ''
  }, (performance.now() - done.started) / 1_000)
}

/** The SDK's server, with an eye on what is asked of it. */
export class MeasuredServer extends Server {
  readonly #offer: Offer
  readonly #request: FastifyRequest

  constructor (offer: Offer, request: FastifyRequest, info: Implementation, options: ServerOptions) {
    super(info, options)
    this.#offer = offer
    this.#request = request
  }

  /** Of every handler, also of those that the SDK sets itself. */
  protected override _wrapHandler (method: string, handler: Handler): Handler {
    const wrapped = shapedBy(method, handler, (own) => super._wrapHandler(method, own))
    return async (message, context) => {
      const started = performance.now()
      try {
        const result = await wrapped(message, context)
        this.#note(message, (result as Partial<CallToolResult>).isError === true ? 'tool_error' : undefined, started)
        return result
      } catch (error) {
        this.#note(message, context.mcpReq.signal.aborted ? 'cancelled' : String((error as { code?: unknown }).code ?? ProtocolErrorCode.InternalError), started)
        throw error
      }
    }
  }

  #note ({ method, params }: JSONRPCRequest, error: string | undefined, started: number): void {
    const name = method === 'tools/call' ? String(params?.name) : undefined
    const isOwn = name !== undefined && this.#offer.tools.has(name)
    // What is not known as a tool was refused with a code.
    const isAgents = name !== undefined && (error === undefined || error === 'tool_error')
    const tool = isOwn || metaNames.has(name ?? '') ? name : isAgents ? 'tool_agent' : undefined
    measure(this.#offer, this.#request, { method, tool, error, started })
    if (name !== undefined && !isOwn) noteCall(this.#request, { tool: name, code: error, started })
  }
}

/** As `check` lets it pass; but a task is no answer of a tool, and what a server says that it can depends on the revision. */
function shapedBy (method: string, handler: Handler, check: (handler: Handler) => Handler): Handler {
  if (method === 'initialize') {
    return async (message, context) => {
      const { capabilities, ...result } = await check(handler)(message, context) as InitializeResult
      return { ...result, capabilities: shaped(capabilities, result.protocolVersion) }
    }
  }
  if (method !== 'tools/call') return check(handler)
  return async (message, context) => {
    let handle: Result | undefined
    const result = await check(async (...call) => {
      const own = await handler(...call)
      if (!isHandle(own)) return own
      handle = own
      return { content: [] }
    })(message, context)
    return handle ?? result
  }
}
