import { Type } from '@sinclair/typebox'
import type { Contract, Media } from './contract.ts'
import { eventStream } from './event-stream.ts'
import { ToolsQuery } from './mcp-tools.ts'

const RpcId = Type.Union([Type.String({ maxLength: 256 }), Type.Number()])
export const RpcMessage = Type.Object({
  jsonrpc: Type.Literal('2.0'),
  method: Type.Optional(Type.String({ maxLength: 256 })),
  id: Type.Optional(RpcId)
}, { additionalProperties: true, title: 'JsonRpcMessage', description: 'A JSON-RPC 2.0 message of the Model Context Protocol' })

const RpcFailure = Type.Object({
  jsonrpc: Type.Literal('2.0'),
  id: Type.Optional(Type.Union([RpcId, Type.Null()])),
  error: Type.Object({
    code: Type.Integer(),
    message: Type.String(),
    data: Type.Optional(Type.Unknown())
  })
}, { title: 'JsonRpcFailure', description: 'A failure as JSON-RPC 2.0 spells it' })

const answer = { jsonrpc: '2.0', id: 1, result: { tools: [] } }
const notice = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' }
export const refusal = (description: string, code: number, message: string): Media => ({
  description,
  content: { 'application/json': { schema: RpcFailure, example: { jsonrpc: '2.0', id: null, error: { code, message } } } }
})
const noSessions = refusal('There are no sessions: of this revision, or at this server', -32_000, 'Method not allowed.')
const unknownSession = refusal('There is no such session of this caller', -32_001, 'Session not found: initialize a new one')
const missingSession = refusal('No session is named, or none of its streams', -32_000, 'Bad Request: Mcp-Session-Id header is required: initialize first')
const eventsOnly = refusal('text/event-stream must be accepted', -32_000, 'Not Acceptable: Client must accept text/event-stream')

export const mcpMessageSend = {
  operationId: 'mcp_message_send',
  summary: 'Send one message of the Model Context Protocol',
  description: 'Streamable HTTP: revisions 2026-07-28 (stateless) and 2025-11-25, 2025-06-18, 2025-03-26 (with a session after `initialize`, whose id is in `Mcp-Session-Id`; stateless otherwise). ' +
    'Requests are answered with JSON or, where there is more to say than the answer or it takes longer, with a stream; notifications with 202.',
  tags: ['mcp'],
  querystring: ToolsQuery,
  body: Type.Unknown({ description: 'A JSON-RPC 2.0 message; a batch where the revision has batches', examples: [{ jsonrpc: '2.0', id: 1, method: 'tools/list' }] }),
  response: {
    200: {
      description: 'The JSON-RPC answer, alone or as the last event of a stream',
      content: {
        'application/json': { schema: RpcMessage, example: answer },
        ...eventStream('McpAnswerEvent', '', { message: { ...RpcMessage, description: 'a message; the last one is the answer' } }, [{ event: 'message', data: answer }]).content
      }
    },
    202: Type.Null({ description: 'A notification was taken' }),
    400: refusal('This is no message of the protocol, or of no revision that is spoken here', -32_700, 'Body is not valid JSON'),
    404: refusal('There is no such method, or no such session of this caller', -32_601, 'Method not found'),
    406: refusal('Both application/json and text/event-stream must be accepted', -32_000, 'Not Acceptable: Client must accept both application/json and text/event-stream'),
    415: refusal('The body is not JSON', -32_000, 'send the body as Content-Type: application/json')
  }
} satisfies Contract

export const mcpMessageStream = {
  operationId: 'mcp_message_stream',
  summary: 'Open the stream of an MCP session',
  description: 'Revisions of 2025: what the server has to say beside its answers. With `Last-Event-ID` the stream that event is of goes on after it, at whatever instance; a second stream ends the first.',
  tags: ['mcp'],
  querystring: ToolsQuery,
  response: {
    200: eventStream('McpServerEvent', 'Messages of the server', { message: { ...RpcMessage, description: 'a message of the server' } }, [{ event: 'message', data: notice }]),
    400: missingSession,
    404: unknownSession,
    405: noSessions,
    406: eventsOnly
  }
} satisfies Contract

export const mcpSessionDelete = {
  operationId: 'mcp_session_delete',
  summary: 'End an MCP session',
  description: 'Revisions of 2025: what still runs in it is broken off.',
  tags: ['mcp'],
  querystring: ToolsQuery,
  response: { 200: Type.Null({ description: 'The session has ended' }), 400: missingSession, 404: unknownSession, 405: noSessions }
} satisfies Contract

export const mcpStreamOpen = {
  operationId: 'mcp_stream_open',
  summary: 'Open an MCP session of revision 2024-11-05',
  description: 'The older HTTP+SSE transport: the first event, `endpoint`, says where to post to; the answers come over this stream. The session ends with it.',
  tags: ['mcp'],
  querystring: ToolsQuery,
  response: {
    200: eventStream('McpStreamEvent', 'Where to post to, then messages', {
      endpoint: Type.String({ description: 'the path to post messages to' }),
      message: { ...RpcMessage, description: 'a message of the server' }
    }, [{ event: 'endpoint', data: '/api/v1/mcp/request?session_id=mcs_V1StGXR8Z5jdHi6B' }, { event: 'message', data: answer }])
  }
} satisfies Contract
