import { createParser } from 'eventsource-parser'
import { type AgentTool, endOf } from './agent-tools.ts'
import { type Model, ModelError, type Piece, type Turn } from './model.ts'
import { calculatorTool, callCalculator, type ToolEnd } from './tools.ts'

/** Any server that speaks OpenAI's chat completions. */
export interface Endpoint { url: string, key?: string, model?: string }

interface ToolCall { id: string, type: 'function', function: { name: string, arguments: string } }
type Message =
  | { role: 'system' | 'user', content: string }
  | { role: 'assistant', content: string, tool_calls?: ToolCall[] }
  | { role: 'tool', content: string, tool_call_id: string }

/** What one completion has said so far. */
interface Reply { text: string, calls: ToolCall[] }

interface Chunk {
  choices?: { delta?: { content?: string | null, tool_calls?: ({ index?: number } & Partial<ToolCall>)[] }, finish_reason?: string | null }[]
  error?: unknown
}

const mostRounds = 5
const idleMs = 60_000
const remembered = 20

/** A model that asks an OpenAI-compatible endpoint, with the calculator and the tools of the agent. */
export function createEndpointModel (endpoint: Endpoint): Model {
  return async function * (turn) {
    const messages = conversationOf(turn)
    let said = ''
    let isBroken = false
    for (let round = 1; round <= mostRounds; round++) {
      let reply: Reply = { text: '', calls: [] }
      try {
        for await (const text of complete(endpoint, turn, messages, reply)) {
          if (!isBroken) yield { type: 'content', text }
        }
      } catch (err) {
        if (reply.text === '' || turn.signal.aborted) throw err
        // broke half-way: like the real Core, ask again, and give the whole text at the end
        isBroken = true
        reply = { text: '', calls: [] }
        await drained(complete(endpoint, turn, messages, reply))
      }
      said += reply.text
      const calls = Object.values(reply.calls) // some servers count from one, which leaves a hole
      if (calls.length === 0) {
        if (isBroken) yield { type: 'again', text: said }
        return
      }
      messages.push({ role: 'assistant', content: reply.text, tool_calls: calls })
      yield * answered(calls, messages, turn)
    }
    throw new ModelError(`the model called tools ${mostRounds} times running`)
  }
}

async function * answered (calls: ToolCall[], messages: Message[], { tools, signal }: Turn): AsyncGenerator<Piece> {
  for (const { id, function: { name, arguments: text } } of calls) {
    const parameters = objectOf(text)
    yield { type: 'tool_call_start', tool_call: { id, name, parameters } }
    const tool = tools.find((tool) => tool.name === name)
    const end = tool ? endOf(id, await tool.call(parameters, signal)) : ownTool(id, name, parameters)
    yield { type: 'tool_call_end', tool_call: end }
    messages.push({ role: 'tool', tool_call_id: id, content: JSON.stringify('error' in end ? { error: end.error } : end.output) })
  }
}

function ownTool (id: string, name: string, { expression }: Record<string, unknown>): ToolEnd {
  if (name !== 'calculator') return { id, error: { code: 'unknown_tool', message: `there is no tool ${name}` } }
  if (typeof expression === 'string') return callCalculator({ id, expression }).end
  return { id, error: { code: 'invalid_parameters', message: 'the calculator needs an expression' } }
}

function functionOf ({ name, description, parameters }: AgentTool): object {
  return { type: 'function', function: { name, description, parameters } }
}

/** One completion: yields the text as it comes, and gathers it with the tool calls in the reply. */
async function * complete (endpoint: Endpoint, turn: Turn, messages: Message[], reply: Reply): AsyncGenerator<string> {
  const idle = new AbortController()
  const timer = setTimeout(() => idle.abort(), idleMs)
  try {
    const body = await ask(endpoint, turn, messages, idle.signal)
    let isWhole = false
    for await (const data of eventsOf(body, timer)) {
      if (data === '[DONE]') return
      const { choices: [choice] = [], error } = objectOf(data) as Chunk // every member is optional and looked at
      if (error !== undefined) throw new ModelError('the endpoint broke its stream off with an error')
      for (const part of choice?.delta?.tool_calls ?? []) collect(reply.calls, part)
      const text = choice?.delta?.content ?? ''
      reply.text += text
      if (text !== '') yield text
      isWhole ||= Boolean(choice?.finish_reason)
    }
    if (!isWhole) throw new ModelError('the endpoint ended its stream too early')
  } catch (err) {
    if (turn.signal.aborted || err instanceof ModelError) throw err
    throw new ModelError('the endpoint could not be reached or fell silent', { cause: err })
  } finally {
    clearTimeout(timer)
  }
}

async function ask ({ url, key, model }: Endpoint, { agent, tools, signal }: Turn, messages: Message[], idle: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const { temperature, top_p: topP } = agent.model
  const { ok, status, body } = await fetch(completionsUrl(url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) },
    body: JSON.stringify({ model: model ?? agent.model.model, messages, stream: true, temperature, top_p: topP, tools: [calculatorTool, ...tools.map(functionOf)] }),
    signal: AbortSignal.any([signal, idle])
  })
  if (ok && body) return body
  await body?.cancel()
  throw new ModelError(`the endpoint answered ${status}`)
}

async function drained (source: AsyncIterator<unknown>): Promise<void> {
  while (!(await source.next()).done) continue
}

async function * eventsOf (body: AsyncIterable<Uint8Array>, timer: NodeJS.Timeout): AsyncGenerator<string> {
  let events: string[] = []
  const parser = createParser({ onEvent: ({ data }) => { events.push(data) } })
  const decoder = new TextDecoder()
  for await (const bytes of body) {
    timer.refresh()
    parser.feed(decoder.decode(bytes, { stream: true }))
    yield * events
    events = []
  }
}

/** The pieces of a call come one by one, told apart by their index. */
function collect (calls: ToolCall[], { index = calls.length, id, function: part }: { index?: number } & Partial<ToolCall>): void {
  const call = calls[index] ??= { id: id ?? `call_${index}`, type: 'function', function: { name: '', arguments: '' } }
  call.function.name += part?.name ?? ''
  call.function.arguments += part?.arguments ?? ''
}

function conversationOf ({ agent, history, message, passages }: Turn): Message[] {
  const earlier = history.slice(-remembered).map(({ role, text }): Message => ({ role, content: text }))
  const known = passages.map(({ knowledge_id: source, content }) => `\n\nFrom ${source}:\n${content}`).join('')
  return [{ role: 'system', content: (agent.system_message || agent.description) + known }, ...earlier, { role: 'user', content: message }]
}

function completionsUrl (base: string): string {
  const url = base.replace(/\/+$/, '')
  return /\/v\d\w*(\/|$)/.test(new URL(url).pathname) ? `${url}/chat/completions` : `${url}/v1/chat/completions`
}

function objectOf (text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}
