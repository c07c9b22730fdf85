import { setTimeout as sleep } from 'node:timers/promises'
import { acceptedContent, inputRequired, ProtocolError, type CallToolResult, type InputRequiredResult, type RequestStateCodec, type ServerContext } from '@modelcontextprotocol/server'
import type { Feature } from '../../../../plugins/mcp/feature.ts'

type Tool = (context: ServerContext) => Promise<CallToolResult | InputRequiredResult>

/** Longer than an answer is waited for in the place of a task. */
const longMs = 700
const text = (value: string): CallToolResult => ({ content: [{ type: 'text', text: value }] })
const question = (message: string) => inputRequired.elicit({ message, requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } })

/** Tools that take long in ways in which no operation of ours does. */
export function longTools ({ mint }: RequestStateCodec): Feature {
  const tools: Record<string, Tool> = {
    only: async () => text('a task alone'),
    break: async () => {
      await sleep(longMs)
      throw new ProtocolError(-32_050, 'it broke', { piece: 'handle' })
    },
    pour: async () => {
      await sleep(longMs)
      return text('x'.repeat(2_000_000))
    },
    // One thing after the other, with a state that goes from round to round.
    ask: async (context) => {
      await sleep(longMs)
      const { inputResponses, requestState } = context.mcpReq
      const name = acceptedContent(inputResponses, 'who')?.name
      const first = requestState<{ first?: string }>()?.first
      if (typeof name !== 'string') return inputRequired({ inputRequests: { who: question('Who is first?') } })
      if (first === undefined) return inputRequired({ inputRequests: { who: question('Who is second?') }, requestState: await mint({ first: name }, context) })
      return text(`${first} and ${name}`)
    }
  }
  return {
    tools: {
      list: async () => [],
      call: (name, _, __, context) => Object.hasOwn(tools, name) ? tools[name]!(context) : undefined,
      tasks: (name) => name === 'only' ? 'required' : Object.hasOwn(tools, name) ? 'optional' : undefined
    }
  }
}
