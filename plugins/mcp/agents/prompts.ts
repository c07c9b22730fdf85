import { ProtocolError, ProtocolErrorCode, type GetPromptResult, type Prompt } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import type { Agent } from '../../../schemas/agents.ts'
import type { Feature } from '../feature.ts'
import { isOpen, pageOfAgents, read, refusalOf } from './inner.ts'

/** As much as a chat takes. */
const longest = 100_000
/** The prompt that leaves the choice of the agent to MUXI. */
const anyone = 'ask'
const prefix = `${anyone}_`
const args = [{ name: 'message', description: 'What to say', required: true }]

/** One prompt to ask whoever fits best, and one per agent for callers who may list them: a user is not told which agents there are, by prompts as little as otherwise. */
export const prompts: Feature = {
  capabilities: { prompts: { listChanged: true } },
  install: (server, request) => {
    server.setRequestHandler('prompts/list', async ({ params: { cursor } = {} }) => {
      const { agents, nextCursor } = await pageOfAgents(request, cursor)
      const first = cursor === undefined && isOpen(request, 'chat_send') ? [toAnyone] : []
      return { prompts: [...first, ...isOpen(request, 'agent_chat_send') ? agents.map(promptOf) : []], ...(nextCursor !== undefined && { nextCursor }) }
    })
    server.setRequestHandler('prompts/get', async ({ params: { name, arguments: { message } = {} } }) => {
      if (name === anyone && isOpen(request, 'chat_send')) return asking(toAnyone.description!, 'Send this message with the tool chat_send, and give the answer', textIn(message))
      const { id, description } = await agentOf(name, request)
      return asking(description, `Send this message to the agent ${id} with the tool agent_chat_send, agent_id ${JSON.stringify(id)}, and give its answer`, textIn(message))
    })
  }
}

const toAnyone: Prompt = { name: anyone, title: 'Ask MUXI', description: 'Asks the agent that fits the message best', arguments: args }

function promptOf ({ id, name, description }: Pick<Agent, 'id' | 'name' | 'description'>): Prompt {
  return { name: `${prefix}${id}`, title: `Ask ${name ?? id}`, description, arguments: args }
}

async function agentOf (name: string, request: FastifyRequest): Promise<Agent> {
  const id = name.startsWith(prefix) ? name.slice(prefix.length) : ''
  const unknown = new ProtocolError(ProtocolErrorCode.InvalidParams, `no prompt ${name.slice(0, 200)}`)
  if (!/^[\w.-]+$/.test(id) || /^\.{1,2}$/.test(id) || !isOpen(request, 'agent_list') || !isOpen(request, 'agent_chat_send')) throw unknown
  const answer = await read(request, `/api/v1/agents/${id}`)
  if (answer.code === 'not_found' || answer.code === 'bad_request') throw unknown
  if (answer.code !== undefined) throw refusalOf(answer)
  return JSON.parse(answer.body) as Agent
}

function textIn (message: string | undefined): string {
  if (message === undefined || message.trim() === '') throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'the argument message is required')
  if (message.length > longest) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `the argument message must have at most ${longest} characters`)
  return message
}

function asking (description: string, task: string, message: string): GetPromptResult {
  return { description, messages: [{ role: 'user', content: { type: 'text', text: `${task}:\n\n${message}` } }] }
}
