import type { StoredAgent } from './agents.ts'
import { seconds } from './envelope.ts'

const idle = new Set(['the', 'and', 'for', 'are', 'you', 'your', 'about', 'with', 'that', 'this', 'what', 'answer', 'answers', 'question', 'questions'])
const numerals = /^(\d+|one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|plus|minus|times|divided|sum|calculate)$/
const greetings = /^(hello|hi|hey|hej|hallo|morning|evening|thanks|thank|bye|goodbye)$/

/** Answers when no agent is left; like that of the real Core it has no entry of its own. */
export const generalist: StoredAgent = {
  id: 'muxi-generalist',
  name: 'Generalist',
  description: 'Answers when no agent fits',
  system_message: 'You are a helpful assistant.',
  source: 'formation',
  model: { provider: 'built-in', model: 'development' },
  created_at: seconds(),
  updated_at: seconds(),
  version: 1,
  stats: { conversations: 0, total_messages: 0, active_users: 0 },
  mcp_servers: [],
  knowledge_sources: []
}

/** Picks the agent whose own words, or those of its tools and knowledge, come up most in the message; the first one wins a tie. */
export function choose (agents: StoredAgent[], message: string, skills: (agent: StoredAgent) => string = () => ''): { agent: StoredAgent, confidence: number } {
  const said = wordsOf(message)
  const scored = agents.map((agent) => ({ agent, score: scoreOf(agent, skills(agent), said) }))
  const best = scored.reduce<typeof scored[number] | undefined>((best, next) => best && best.score >= next.score ? best : next, undefined)
  if (!best) return { agent: generalist, confidence: 1 }

  const total = scored.reduce((sum, { score }) => sum + score, 0)
  const confidence = total === 0 ? 1 / scored.length : 0.5 + best.score / total / 2
  return { agent: best.agent, confidence: Number(confidence.toFixed(2)) }
}

/** A message that is a greeting and nothing else. */
export function isGreeting (message: string): boolean {
  return /^\s*(good\s+)?(hello|hi|hey|hej|hallo|morning|evening)(\s+(there|you|muxi))?\s*[!.,]*\s*$/i.test(message)
}

function scoreOf ({ id, name, description, system_message: system }: StoredAgent, skills: string, said: Set<string>): number {
  const common = (text: string) => [...wordsOf(text)].filter((word) => said.has(word)).length
  return 3 * common(`${id} ${name}`) + 2 * common(`${description} ${skills}`) + common(system)
}

function wordsOf (text: string): Set<string> {
  const words = text.slice(0, 10_000).toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
  return new Set(words.flatMap((word) => {
    if (numerals.test(word)) return ['number']
    if (greetings.test(word)) return ['greeting']
    return word.length < 3 || idle.has(word) ? [] : [word.replace(/s$/, '')]
  }))
}
