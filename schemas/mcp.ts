import { Type } from '@sinclair/typebox'
import { type Contract, eventStream, media } from './contract.ts'

const RpcMessage = Type.Object({
  jsonrpc: Type.Literal('2.0'),
  method: Type.Optional(Type.String({ maxLength: 256 })),
  id: Type.Optional(Type.Union([Type.String({ maxLength: 256 }), Type.Number()]))
}, { additionalProperties: true, title: 'JsonRpcMessage', description: 'A JSON-RPC 2.0 message of the Model Context Protocol' })

export const mcpMessageSend = {
  operationId: 'mcp_message_send',
  summary: 'Send one message of the Model Context Protocol',
  description: 'Streamable HTTP: revisions 2026-07-28 and 2025-11-25, 2025-06-18, 2025-03-26, stateless. ' +
    'Requests are answered with JSON or, when the caller accepts it and there is more than one message, with a stream; notifications with 202.',
  tags: ['mcp'],
  body: Type.Unknown({ description: 'A JSON-RPC 2.0 message; a batch where the revision has batches' }),
  response: {
    200: {
      description: 'The JSON-RPC answer, alone or as the last event of a stream',
      content: {
        'application/json': { schema: RpcMessage },
        'text/event-stream': { schema: Type.String({ description: 'Server-sent events whose data is JSON-RPC' }) }
      }
    },
    202: media('A notification was taken', 'text/plain')
  }
} satisfies Contract

export const mcpMessageStream = {
  operationId: 'mcp_message_stream',
  summary: 'Open the stream of an MCP session',
  description: 'This endpoint keeps no sessions: it answers 405, as the protocol asks.',
  tags: ['mcp'],
  response: { 200: eventStream('Messages of the server', { message: RpcMessage }, 'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n') }
} satisfies Contract

export const mcpSessionDelete = {
  operationId: 'mcp_session_delete',
  summary: 'End an MCP session',
  description: 'This endpoint keeps no sessions: it answers 405, as the protocol asks.',
  tags: ['mcp'],
  response: { 200: media('The session has ended', 'text/plain') }
} satisfies Contract
