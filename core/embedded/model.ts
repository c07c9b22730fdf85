import { setTimeout as wait } from 'node:timers/promises'
import type { StoredAgent } from './agents.ts'
import type { StoredMessage } from './memory.ts'
import { isGreeting } from './overlord.ts'
import { callCalculator, type ToolEnd, type ToolStart } from './tools.ts'
import { expressionIn } from './calculator.ts'

/** One turn of a chat, as a model is asked for it. */
export interface Turn {
  agent: StoredAgent
  message: string
  files: { filename?: string }[]
  history: StoredMessage[]
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

/** A model without an LLM: it greets, does sums, repeats what was said, and obeys a control block. */
export function createBuiltInModel (paceMs: number): Model {
  return async function * (turn) {
    const { signal } = turn
    const steps = controlsOf(turn.message)
    if (steps.hang_ms) await wait(steps.hang_ms, undefined, { signal })
    if (steps.status) throw new ModelError(`the model answered ${steps.status}`)

    const expression = expressionIn(withoutControls(turn.message))
    const called = expression === undefined ? undefined : callCalculator({ expression })
    if (called) {
      yield { type: 'tool_call_start', tool_call: called.start }
      yield { type: 'tool_call_end', tool_call: called.end }
    }

    const text = steps.tokens ? counted(steps.tokens) : sentence(turn, called)
    const pause = steps.delay_ms ?? paceMs
    const words = text.match(/\s*\S+/g) ?? []
    for (const [at, word] of words.entries()) {
      if (at === steps.cut_after) return yield { type: 'again', text }
      if (at > 0 && pause > 0) await wait(pause, undefined, { signal })
      yield { type: 'content', text: word }
    }
  }
}

function sentence ({ message, files }: Turn, called: ReturnType<typeof callCalculator> | undefined): string {
  const said = withoutControls(message).trim()
  if (called) return called.sentence
  if (isGreeting(said)) return `Hello! ${self} Ask me a sum, such as: what is 6 times 7?`
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
