import { Type } from '@sinclair/typebox'
import type { Contract } from './contract.ts'
import { eventStream } from './event-stream.ts'
import { refusal, RpcMessage } from './mcp.ts'
import { ToolsQuery } from './mcp-tools.ts'

const id = Type.Union([Type.String({ maxLength: 256 }), Type.Number(), Type.Null()], { description: 'That of the request' })
const ShortAnswer = Type.Object({
  id,
  result: Type.Optional(Type.Unknown({ description: 'What the tool answered; of `list_tools`, the list' })),
  error: Type.Optional(Type.Object({
    code: Type.String({ examples: ['not_found'] }),
    message: Type.String(),
    details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    request_id: Type.Optional(Type.String())
  })),
  chunk: Type.Optional(Type.Object({
    text: Type.String({ description: 'A piece of the answer' }),
    isDelta: Type.Boolean({ description: 'false: forget the pieces before' })
  }))
}, { title: 'McpShortAnswer', description: 'One of `result`, `error` and, in a stream, `chunk`' })

const short = { id: 'req_1', method: 'run_tool', params: { tool_name: 'chat_send', tool_params: { content: 'What is 6 times 7?' } } }
const listed = { id: 'req_1', result: { tools: [] } }

export const mcpRequestSend = {
  operationId: 'mcp_request_send',
  summary: 'Send one message of the Model Context Protocol and read the answer in the answer',
  description: 'For clients without streams: JSON-RPC 2.0, or the short form with the methods `run_tool` and `list_tools`, whose answers hold `result` or `error`. ' +
    'A `run_tool` whose caller accepts `text/event-stream` is told the answer of an agent piece by piece, in `chunk`. With `session_id` the message is of the session that `mcp_stream_open` opened, and the answer comes over its stream.',
  tags: ['mcp'],
  querystring: Type.Object({
    ...ToolsQuery.properties,
    session_id: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'As the `endpoint` event has it', examples: ['mcs_V1StGXR8Z5jdHi6B'] }))
  }, { additionalProperties: false }),
  body: Type.Unknown({ description: 'A JSON-RPC 2.0 message, or the short form', examples: [short] }),
  response: {
    200: {
      description: 'The answer',
      content: {
        'application/json': { schema: Type.Union([ShortAnswer, RpcMessage]), example: listed },
        ...eventStream('McpShortEvent', '', { message: { ...ShortAnswer, description: 'a piece; the last one is the answer' } }, [
          { event: 'message', data: { id: 'req_1', chunk: { text: '6 * 7 = ', isDelta: true } } },
          { event: 'message', data: { id: 'req_1', result: { agent_response: { role: 'assistant', content: '6 * 7 = 42.' } } } }
        ]).content
      }
    },
    202: Type.Null({ description: 'A notification was taken, or a message of a session' }),
    400: refusal('This is no message of the protocol, or of no revision that is spoken here', -32_700, 'Body is not valid JSON'),
    404: refusal('There is no such method, or no such session of this caller', -32_601, 'Method not found'),
    406: refusal('This cannot be answered in a form that is accepted', -32_000, 'Not Acceptable: Client must accept both application/json and text/event-stream'),
    415: refusal('The body is not JSON', -32_000, 'send the body as Content-Type: application/json')
  }
} satisfies Contract
