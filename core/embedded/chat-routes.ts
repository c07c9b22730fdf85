import { once } from 'node:events'
import { type Static, Type } from '@sinclair/typebox'
import { type Ask, type Chat, startChat, type Token } from './chat.ts'
import { type Answer, CoreError, newId, seconds } from './envelope.ts'
import { Frames } from './frames.ts'
import { createEndpointModel } from './llm.ts'
import { createBuiltInModel } from './model.ts'
import { isGreeting } from './overlord.ts'
import { type Input, route, type Route } from './router.ts'
import type { State } from './state.ts'
import { folded } from './users.ts'

const Body = Type.Object({
  message: Type.String(),
  stream: Type.Optional(Type.Boolean({ default: true })),
  session_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  agent_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  request_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  user_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  mode: Type.Optional(Type.Union([Type.Literal('sync'), Type.Literal('async')])),
  files: Type.Optional(Type.Union([Type.Array(Type.Record(Type.String(), Type.Unknown())), Type.Null()]))
})
type Body = Static<typeof Body>

/** Chat, plain and streamed. */
export function chatRoutes (state: State): Route[] {
  const model = state.llm ? createEndpointModel(state.llm) : createBuiltInModel(state.paceMs)

  return [route({
    method: 'POST',
    path: '/v1/chat',
    level: 'client',
    summary: 'Say something, and get an answer as a stream or, with "stream": false, in one piece',
    body: Body,
    handle: async ({ body, user, gone, ids, res, call }: Input<Body, object>) => {
      if (body.mode === 'async') throw new CoreError(501, 'METHOD_NOT_FOUND', 'mode async is not supported')
      const ask = askOf(body, user)
      if (body.stream ?? true) {
        await stream(startChat(state, model, ask, gone), { state, res, gone, call })
        return
      }
      if (ask.agentId !== undefined && !state.agents.has(ask.agentId)) return escalated(ask, ids.id)
      return await plain(startChat(state, model, ask, gone), ask, state)
    }
  })]
}

function askOf ({ message, files, session_id: session, agent_id: agentId, request_id: requestId, user_id: userId }: Body, user: string | undefined): Ask {
  return {
    message,
    files: (files ?? []).map(({ filename }) => ({ filename: typeof filename === 'string' ? filename : undefined })),
    user: user ?? folded(userId ?? '0'),
    // greetings take a short path in the real Core, which opens no session
    session: session ?? (isGreeting(message) ? undefined : newId('sess')),
    requestId: requestId ?? undefined,
    agentId: agentId ?? undefined
  }
}

type Line = Pick<Input<Body, object>, 'res' | 'gone' | 'call'> & { state: State }

async function stream ({ request, tokens }: Chat, { state: { faults, requests }, res, gone, call }: Line): Promise<void> {
  const isSilent = faults.take('silent', call) !== undefined
  const isMalformed = faults.take('malformed', call) !== undefined
  const cutAfter = faults.take('cutAfter', call)?.cutAfter
  const { request_id: id, user_id: user, session_id: session } = request
  const frames = new Frames(res, { gone, isMalformed, isSilent })
  try {
    if (isSilent) {
      if (!gone.aborted) await once(gone, 'abort')
      return
    }
    let contents = 0
    for await (const token of tokens) {
      if (contents === cutAfter && (token.type === 'content' || token.type === 'completed')) return await frames.cut()
      if (token.type === 'content') contents++
      await frames.send({ token: { request_id: id, user_id: user, session_id: session, ...token, timestamp: seconds() } })
    }
    await frames.done()
  } catch (err) {
    requests.end(request, 'failed')
    await frames.fail(err)
  } finally {
    frames.close()
  }
}

async function plain ({ request, tokens }: Chat, { user, session, requestId }: Ask, { offers, requests }: State): Promise<Answer> {
  const all: Token[] = []
  try {
    for await (const token of tokens) all.push(token)
  } catch (err) {
    requests.end(request, 'failed')
    throw err
  }
  const last = all.at(-1)
  const extension = offers === 'all' ? { agent_id: last?.agent_used, tool_calls: toolCalls(all) } : {}
  return messageOf(last?.content ?? '', { user, session, requestId }, extension)
}

/** The real Core answers 200 with prose when the agent that was asked for does not exist. */
function escalated ({ agentId, ...ask }: Ask, id: string): Answer {
  const text = `I could not reach the agent ${agentId} just now. I will try again; look at GET /v1/requests/${id} for the outcome.`
  return messageOf(text, ask, { escalated: true, request_id: id })
}

function messageOf (content: string, { user, session, requestId }: Pick<Ask, 'user' | 'session' | 'requestId'>, metadata: object): Answer {
  const ids = { session_id: session ?? null }
  const message = { role: 'assistant', content, artifacts: null, metadata: { ...ids, ...metadata } }
  return { object: 'message', type: 'chat.completed', requestId, data: { message, user_id: user, ...ids, request_id: requestId ?? null } }
}

function toolCalls (tokens: Token[]): object[] {
  const called = (type: string) => tokens.filter((token) => token.type === type).map(({ tool_call: call }) => call as { id: string })
  const ends = new Map(called('tool_call_end').map((end) => [end.id, end]))
  return called('tool_call_start').map((start) => ({ ...start, ...ends.get(start.id) }))
}
