import { Type, type Static } from '@sinclair/typebox'
import type { Contract } from './contract.ts'

/** Characters of a wish for a part of the tools, in the query or in the header, at most. */
export const mostSubset = 2_048

const tools = Type.String({
  minLength: 1,
  maxLength: mostSubset,
  description: 'Only these tools: names, and patterns with `*`, between commas. `compact`: three tools in the place of all, which find, describe and call the others. Also as the header `X-Muxi-Tools`',
  examples: ['agent_*,chat_send']
})

/** The query of every endpoint that serves tools. */
export const ToolsQuery = Type.Object({ tools: Type.Optional(tools) }, { additionalProperties: false })

const Schema = (description: string) => Type.Record(Type.String(), Type.Unknown(), { description })

export const McpTool = Type.Object({
  name: Type.String({ examples: ['agent_get'] }),
  title: Type.Optional(Type.String({ examples: ['Read one agent'] })),
  description: Type.String({ description: 'What it does, when to use it, what comes back', examples: ['Read one agent. Its model, tool servers and knowledge come back.'] }),
  parameters: Schema('The JSON Schema of its arguments: the same as `inputSchema`'),
  inputSchema: Schema('The JSON Schema of its arguments'),
  outputSchema: Type.Optional(Schema('The JSON Schema of its answer')),
  annotations: Type.Optional(Schema('What a host may want to know before it calls it'))
}, { title: 'McpTool', description: 'A tool as `tools/list` shows it' })
export type McpTool = Static<typeof McpTool>

export const mcpToolList = {
  operationId: 'mcp_tool_list',
  summary: 'List the tools of the Model Context Protocol',
  description: 'Those that the caller may call, as `tools/list` has them.',
  tags: ['mcp'],
  querystring: Type.Object({
    tools: Type.Optional(tools),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 512, description: '`nextCursor` of the page before' }))
  }, { additionalProperties: false }),
  response: {
    200: Type.Object({
      tools: Type.Array(McpTool),
      nextCursor: Type.Optional(Type.String({ description: 'Where the next page begins; absent on the last one' }))
    }, { title: 'McpToolList' })
  }
} satisfies Contract
