import { Type } from '@sinclair/typebox'
import type { Contract, Media } from './contract.ts'
import { eventStream } from './event-stream.ts'

const RpcId = Type.Union([Type.String({ maxLength: 256 }), Type.Number()])
const RpcMessage = Type.Object({
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
const refusal = (description: string, code: number, message: string): Media => ({
  description,
  content: { 'application/json': { schema: RpcFailure, example: { jsonrpc: '2.0', id: null, error: { code, message } } } }
})
const noSessions = refusal('This endpoint keeps no sessions', -32_000, 'Method not allowed.')

export const mcpMessageSend = {
  operationId: 'mcp_message_send',
  summary: 'Send one message of the Model Context Protocol',
  description: 'Streamable HTTP: revisions 2026-07-28 and 2025-11-25, 2025-06-18, 2025-03-26, stateless. ' +
    'Requests are answered with JSON or, when the caller accepts it and there is more than one message, with a stream; notifications with 202.',
  tags: ['mcp'],
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
    404: refusal('There is no such method', -32_601, 'Method not found'),
    406: refusal('Both application/json and text/event-stream must be accepted', -32_000, 'Not Acceptable: Client must accept both application/json and text/event-stream'),
    415: refusal('The body is not JSON', -32_000, 'send the body as Content-Type: application/json')
  }
} satisfies Contract

export const mcpMessageStream = {
  operationId: 'mcp_message_stream',
  summary: 'Open the stream of an MCP session',
  description: 'This endpoint keeps no sessions: it answers 405, as the protocol asks.',
  tags: ['mcp'],
  response: {
    200: eventStream('McpServerEvent', 'Messages of the server', { message: { ...RpcMessage, description: 'a message of the server' } }, [{ event: 'message', data: notice }]),
    405: noSessions
  }
} satisfies Contract

export const mcpSessionDelete = {
  operationId: 'mcp_session_delete',
  summary: 'End an MCP session',
  description: 'This endpoint keeps no sessions: it answers 405, as the protocol asks.',
  tags: ['mcp'],
  response: { 200: Type.Null({ description: 'The session has ended' }), 405: noSessions }
} satisfies Contract
