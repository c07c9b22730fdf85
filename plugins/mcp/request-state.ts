import { createRequestStateCodec, type RequestStateCodec, type ServerContext } from '@modelcontextprotocol/server'
import type { FastifyInstance, FastifyRequest } from 'fastify'

interface Message { id?: unknown, params?: Record<string, unknown> }

/** A person may have to answer within it. */
const lifeSeconds = 900
/** What differs between the rounds of one call. */
const ofOneRound = new Set(['_meta', 'inputResponses', 'requestState'])

/**
 * Signs what a call wants to know again when its client comes back with an answer, at whatever instance (MCP 2026-07-28, Multi Round-Trip Requests).
 * It is good for the same caller, method and parameters, and for a quarter of an hour. The client can read it.
 */
export function createRequestState ({ secretFor }: Pick<FastifyInstance, 'secretFor'>): RequestStateCodec {
  return createRequestStateCodec({ key: secretFor('mcp request state'), ttlSeconds: lifeSeconds, bind: bindingOf })
}

/** Whose call it is, and which. A key may serve many users: what one of them was asked is not another's to answer. */
function bindingOf ({ mcpReq: { id, method }, http }: ServerContext): string {
  const request = http?.authInfo?.extra?.request as FastifyRequest | undefined
  if (request === undefined) throw new Error('the state of a call is for calls that come over HTTP')
  const message = ([request.body].flat() as Message[]).find((one) => one.id === id)
  const params = Object.entries(message?.params ?? {}).filter(([name]) => !ofOneRound.has(name))
  return sorted([request.caller.digest, request.userId(), method, Object.fromEntries(params)])
}

/** JSON whose members stand in one order, however the client wrote them. */
function sorted (value: unknown): string {
  return JSON.stringify(value, (_, child: unknown) => typeof child === 'object' && child !== null && !Array.isArray(child)
    ? Object.fromEntries(Object.entries(child).sort(([a], [b]) => a < b ? -1 : 1))
    : child)
}
