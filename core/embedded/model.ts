import { setTimeout as wait } from 'node:timers/promises'
import { type AgentTool, endOf, wordsOf } from './agent-tools.ts'
import type { StoredAgent } from './agents.ts'
import { newId } from './envelope.ts'
import type { Passage } from './knowledge.ts'
import type { StoredMessage } from './memory.ts'
import { isGreeting } from './overlord.ts'
import { requestIn, type ToolRequest } from './tool-request.ts'
import { callCalculator, type ToolEnd, type ToolStart } from './tools.ts'
import { expressionIn } from './calculator.ts'

/** One turn of a chat, as a model is asked for it. */
export interface Turn {
  agent: StoredAgent
  message: string
  files: { filename?: string }[]
  history: StoredMessage[]
  /** of the agent's MCP servers */
  tools: AgentTool[]
  /** what the agent knows about the message, the best first */
  passages: Passage[]
  signal: AbortSignal
}

/** What a model gives: words, tool calls, or the whole text again because the stream of words broke. */
export type Piece =
  | { type: 'content', text: string }
  | { type: 'tool_call_start', tool_call: ToolStart }
  | { type: 'tool_call_end', tool_call: ToolEnd }
  | { type: 'again', text: string }

export type Model = (turn: Turn) => AsyncIterable<Piece>

/** The model failed and gave no answer. */
export class ModelError extends Error {}

const self = 'I am the built-in development model of MUXI; no LLM is configured.'

/** A model without an LLM: it calls the tools that it is told to, does sums, greets, looks up, repeats what was said, and obeys a control block. */
export function createBuiltInModel (paceMs: number): Model {
  return async function * (turn) {
    const { signal } = turn
    const steps = controlsOf(turn.message)
    if (steps.hang_ms) await wait(steps.hang_ms, undefined, { signal })
    if (steps.status) throw new ModelError(`the model answered ${steps.status}`)

    const asked = requestIn(withoutControls(turn.message), turn.tools)
    const called = asked ? yield * useTool(asked, signal) : yield * calculate(withoutControls(turn.message))
    const text = steps.tokens ? counted(steps.tokens) : called ?? sentence(turn)
    const pause = steps.delay_ms ?? paceMs
    const words = text.match(/\s*\S+/g) ?? []
    for (const [at, word] of words.entries()) {
      if (at === steps.cut_after) return yield { type: 'again', text }
      if (at > 0 && pause > 0) await wait(pause, undefined, { signal })
      yield { type: 'content', text: word }
    }
  }
}

/** Calls the tool that was asked for; gives the sentence about it. */
async function * useTool ({ tool, parameters }: ToolRequest, signal: AbortSignal): AsyncGenerator<Piece, string> {
  if (!parameters) return `I can't use ${tool.name}: its parameters are no JSON object.`
  const id = newId('call')
  yield { type: 'tool_call_start', tool_call: { id, name: tool.name, parameters } }
  const outcome = await tool.call(parameters, signal)
  yield { type: 'tool_call_end', tool_call: endOf(id, outcome) }
  return 'error' in outcome ? `${tool.name} failed: ${wordsOf(outcome)}` : `${tool.name}: ${wordsOf(outcome)}`
}

/** Works out the sum in a message, when there is one; gives the sentence about it. */
function * calculate (message: string): Generator<Piece, string | undefined> {
  const expression = expressionIn(message)
  if (expression === undefined) return undefined
  const { start, end, sentence } = callCalculator({ expression })
  yield { type: 'tool_call_start', tool_call: start }
  yield { type: 'tool_call_end', tool_call: end }
  return sentence
}

function sentence ({ message, files, passages: [passage] }: Turn): string {
  const said = withoutControls(message).trim()
  if (isGreeting(said)) return `Hello! ${self} Ask me a sum, such as: what is 6 times 7?`
  if (passage) return `From ${passage.knowledge_id}: ${passage.content}`
  const names = files.map(({ filename = 'a file without a name' }) => filename).join(', ')
  return `${self} You said: ${said === '' ? 'nothing' : said}` + (files.length > 0 ? ` (with ${names})` : '')
}

function counted (tokens: number): string {
  return Array.from({ length: Math.min(tokens, 100_000) }, (_, at) => `w${at + 1}`).join(' ')
}

type Steps = Partial<Record<'tokens' | 'delay_ms' | 'hang_ms' | 'cut_after' | 'status', number>>

/** `[fake: tokens=40 delay_ms=20]` in a message steers the answer. */
function controlsOf (message: string): Steps {
  const block = /\[fake:([^\]]*)\]/.exec(message)?.[1] ?? ''
  return Object.fromEntries([...block.matchAll(/(\w+)=(\d{1,9})\b/g)].map(([, name, value]) => [name, Number(value)]))
}

function withoutControls (message: string): string {
  return message.replace(/\[fake:[^\]]*\]/, '')
}
