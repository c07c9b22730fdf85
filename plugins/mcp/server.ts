import { ProtocolError, ProtocolErrorCode, type CallToolResult, type InputRequiredResult, type Server, type ServerCapabilities, type ServerContext, type Tool as ListedTool } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import { ApiError } from '../../errors.ts'
import { failedWith, type Outcome } from './call.ts'
import { callAloud, progressOf } from './chat-call.ts'
import { compactInstructions, metaCall, noTool } from './compact.ts'
import { MeasuredServer } from './measure.ts'
import type { Offer } from './offer.ts'
import { subsetOf } from './subset.ts'
import type { Wish } from './tasks/index.ts'
import { dialectOf } from './tasks/wire.ts'

type CallResult = CallToolResult | InputRequiredResult
interface Call { name: string, args: Record<string, unknown> }

/** How long a host may keep a list; it depends on the caller's level. */
export const listHints = { ttlMs: 60_000, cacheScope: 'private' } as const
/** In `_meta` of a result: how much is left of a limit that is nearly used up. */
export const limitKey = 'muxi/limit'

/** The server of one exchange, of whatever revision: the SDK knows the protocol, what is offered comes from here. */
export function createServer (offer: Offer, request: FastifyRequest): Server {
  const { about: { info, instructions }, listing, features, requestState } = offer
  const { isCompact } = subsetOf(request)
  const capabilities = capabilitiesOf(features)
  const cacheHints = { 'tools/list': listHints, 'resources/list': listHints, 'resources/templates/list': listHints, 'resources/read': { ttlMs: 0, cacheScope: 'private' }, 'prompts/list': listHints } as const
  const server = new MeasuredServer(offer, request, info, { capabilities, instructions: instructions + (isCompact ? compactInstructions : ''), cacheHints, requestState })
  server.setRequestHandler('tools/list', async ({ params }, context) => {
    const { tools, ...more } = await listing.page(request, params?.cursor).catch((error: unknown) => {
      throw error instanceof ApiError ? new ProtocolError(ProtocolErrorCode.InvalidParams, error.message) : error
    })
    const takesTasks = dialectOf(context, server, request) === 'core'
    return { tools: takesTasks ? tools.map((tool) => marked(tool as ListedTool, offer)) : tools as ListedTool[], ...more }
  })
  server.setRequestHandler('tools/call', async ({ params: { name, arguments: args = {}, task } }, context: ServerContext) => {
    const { limited } = request
    if (limited !== undefined) return resultOf(failedWith(limited, request), request)
    const wish: Wish = { server, request, context, task }
    return isCompact ? await callCompact(offer, wish, { name, args }) : await callLong(offer, wish, { name, args }) ?? refuse(name)
  })
  for (const feature of features) feature.install?.(server, request)
  return server
}

/** What a server says that it can, with all its features. */
export function capabilitiesOf (features: Offer['features']): ServerCapabilities {
  return Object.assign({ tools: {} }, ...features.map((feature) => feature.capabilities)) as ServerCapabilities
}

/** What a tool call came to, as the protocol says it. */
export function resultOf ({ json, failed }: Outcome, { nearLimit }: FastifyRequest): CallToolResult {
  const content = [{ type: 'text' as const, text: json }]
  const meta = nearLimit === undefined ? {} : { _meta: { [limitKey]: nearLimit } }
  return failed ? { content, isError: true, ...meta } : { content, structuredContent: JSON.parse(json) as Record<string, unknown>, ...meta }
}

/** A tool with what revision 2025-11-25 says of tasks. */
function marked (tool: ListedTool, { tasks }: Offer): ListedTool {
  const taskSupport = tasks.supportOf(tool.name)
  return taskSupport === undefined ? tool : { ...tool, execution: { taskSupport } }
}

/** Calls a tool by its name, maybe as a task; undefined where the caller has none of that name in what it asked for. */
async function callLong (offer: Offer, wish: Wish, { name, args }: Call): Promise<CallResult | undefined> {
  if (!subsetOf(wish.request).includes(name)) return undefined
  return await offer.tasks.call(name, wish, async (request, context) => await call(offer, request, { name, args }, context))
}

async function call ({ tools, features }: Offer, request: FastifyRequest, { name, args }: Call, context: ServerContext): Promise<CallResult | undefined> {
  const tool = tools.get(name)
  if (tool !== undefined) return resultOf(await callAloud(tool, args, request, context.mcpReq), request)
  const progress = progressOf(context.mcpReq)
  const { notify } = context.mcpReq
  // A tool that tells its own progress needs no sign of life beside it.
  const own: ServerContext = {
    ...context,
    mcpReq: {
      ...context.mcpReq,
      notify: async (notification) => {
        if (notification.method === 'notifications/progress') progress?.yield()
        await notify(notification)
      }
    }
  }
  try {
    for (const feature of features) {
      const result = feature.tools?.call(name, args, request, own)
      if (result !== undefined) return await result
    }
    return undefined
  } finally {
    await progress?.end()
  }
}

/** The three tools of compact mode. Their failures are for the model: it has chosen a name or words that do not fit. */
async function callCompact (offer: Offer, { request, ...wish }: Wish, { name, args }: Call): Promise<CallResult> {
  try {
    const meta = await metaCall(name, args, async () => await offer.listing.callable(request))
    if (meta === undefined) return refuse(name)
    if ('answer' in meta) return resultOf({ json: JSON.stringify(meta.answer), failed: false }, request)
    const result = await callLong(offer, { request, ...wish }, meta.call)
    if (result === undefined) throw noTool(meta.call.name)
    return result
  } catch (error) {
    if (error instanceof ApiError) return resultOf(failedWith(error, request), request)
    throw error
  }
}

function refuse (name: string): never {
  throw new ProtocolError(ProtocolErrorCode.InvalidParams, `no tool ${name.slice(0, 128)}`, { code: 'not_found' })
}
