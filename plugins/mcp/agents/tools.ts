import { ProtocolError, ProtocolErrorCode, type CallToolResult, type ServerContext } from '@modelcontextprotocol/server'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Departure } from '../../../core/departure.ts'
import { ApiError, failureOf } from '../../../errors.ts'
import { failedWith, noteCall } from '../call.ts'
import type { Feature } from '../feature.ts'
import { fits } from '../subset.ts'
import type { Catalog } from './catalog.ts'
import type { AgentTool } from './definitions.ts'
import { nameForm } from './names.ts'
import { failed, resultOf, type CoreToolResult } from './results.ts'

/** The tools of agents' tool servers. They are called with the keys of those servers, so they are the admins' alone. */
export function agentTools (app: FastifyInstance, catalog: Catalog): Feature {
  const isOffered = () => app.config.api.mcp_agent_tools && app.core.offers('mcp_tools.call')

  return {
    capabilities: { tools: { listChanged: true } },
    tools: {
      list: async (request) => {
        if (!isOffered() || request.caller.access !== 'admin') return []
        const tools = await catalog.list(request)
        return request.caller.scope === undefined ? tools : tools.filter(({ name }) => isOpen(request, name))
      },
      call: (name, args, request, context) => isOffered() && nameForm.test(name) ? call(name, args, request, context) : undefined,
      tasks: (name) => isOffered() && nameForm.test(name) ? 'optional' : undefined
    }
  }

  async function call (name: string, args: Record<string, unknown>, request: FastifyRequest, { mcpReq: { signal } }: ServerContext): Promise<CallToolResult> {
    const started = performance.now()
    if (!isOpen(request, name)) {
      noteCall(request, { tool: name, code: 'forbidden', started })
      return refused(new ApiError('forbidden', 'the tools of agents need an admin key'), request)
    }
    const tool = await catalog.find(name, request)
    if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `no tool ${name.slice(0, 128)}`)
    const branch = request.branch('mcp')
    const [until, letGo] = eitherOf(request, signal)
    let failure: ApiError | undefined
    let result: CallToolResult | undefined
    try {
      return result = await atCore(tool, args, request, until)
    } catch (error) {
      failure = failureOf(error)
      if (failure.code === 'internal_error') request.log.error({ err: error }, 'a tool of an agent could not be called')
      // It went away, maybe with its server or its agent.
      if (failure.code === 'not_found') catalog.mark()
      return refused(failure, request)
    } finally {
      letGo()
      noteCall(request, { tool: name, code: failure?.code, started })
      const isFailed = result?.isError === true || failure !== undefined
      request.spanned({
        component: 'mcp',
        operation: 'tool_call',
        name: `tools/call ${name}`,
        started,
        status: failure !== undefined && failure.statusCode >= 500 ? 'error' : 'ok',
        message: name,
        agentId: tool.origin.agent,
        data: { tool: name, failed: isFailed, 'mcp.method.name': 'tools/call', 'gen_ai.tool.name': name, ...(isFailed && { 'error.type': 'tool_error' }) },
        branch
      })
    }
  }
}

async function atCore ({ origin, definition: { name } }: AgentTool, args: Record<string, unknown>, request: FastifyRequest, signal: Departure): Promise<CallToolResult> {
  const { agent, server, tool } = origin
  const path = `/agents/${encodeURIComponent(agent)}/mcp/servers/${encodeURIComponent(server)}/tools/${encodeURIComponent(tool)}`
  const answer = await request.core.post<CoreToolResult>(path, { arguments: args }, { what: `tool ${tool} of agent ${agent}`, signal })
  const { audit } = request.server
  audit.note({ event: 'admin_change', key: audit.nameOf(request.caller.keyDigest), details: { tool: name } }, request)
  return resultOf(answer)
}

function isOpen ({ caller: { access, scope } }: FastifyRequest, name: string): boolean {
  return access === 'admin' && (scope === undefined || scope.some((pattern) => fits(name, pattern)))
}

function refused (error: ApiError, request: FastifyRequest): CallToolResult {
  return failed(failedWith(error, request).json)
}

/** Ends when the caller leaves, or says by the protocol that it does not want the answer any more; and the function that lets go. */
function eitherOf ({ departure }: FastifyRequest, signal: AbortSignal): [Departure, () => void] {
  const until = new Departure()
  const leave = () => { until.leave() }
  if (departure.aborted || signal.aborted) leave()
  departure.addEventListener('abort', leave)
  signal.addEventListener('abort', leave)
  return [until, () => {
    departure.removeEventListener('abort', leave)
    signal.removeEventListener('abort', leave)
  }]
}
