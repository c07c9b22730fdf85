import { Type } from '@sinclair/typebox'
import { route, type Route } from './router.ts'

/** What the chats of one minute took. */
export interface UsedMinute { minute: number, requests: number, agents: Record<string, number>, in: number, out: number }

const minutes = { last_1h: 60, last_24h: 24 * 60, last_7d: 7 * 24 * 60 }

/** What chats took, by minute, for seven days. */
export class Usage {
  readonly #minutes: UsedMinute[]

  constructor (used: UsedMinute[] = []) {
    this.#minutes = used
  }

  get all (): readonly UsedMinute[] {
    return this.#minutes
  }

  add ({ agent, asked, answered }: { agent: string, asked: string, answered: string }): void {
    const minute = thisMinute()
    const last = this.#minutes.at(-1)
    const used = last?.minute === minute ? last : { minute, requests: 0, agents: {}, in: 0, out: 0 }
    if (used !== last) this.#minutes.push(used)
    used.requests++
    used.agents[agent] = (Object.hasOwn(used.agents, agent) ? used.agents[agent] ?? 0 : 0) + 1
    used.in += tokensIn(asked)
    used.out += tokensIn(answered)
    while ((this.#minutes[0]?.minute ?? minute) <= minute - minutes.last_7d) this.#minutes.shift()
  }

  of (period: keyof typeof minutes): object {
    const used = this.#minutes.filter(({ minute }) => minute > thisMinute() - minutes[period])
    const agents = new Map<string, number>()
    for (const [agent, count] of used.flatMap(({ agents }) => Object.entries(agents))) agents.set(agent, (agents.get(agent) ?? 0) + count)
    const sum = (member: 'requests' | 'in' | 'out') => used.reduce((sum, { [member]: count }) => sum + count, 0)
    return { period, requests: sum('requests'), agent_usage: Object.fromEntries(agents), tokens: { in: sum('in'), out: sum('out') } }
  }
}

/** What chats took in the last hour, day or week. */
export function usageRoutes ({ usage }: { usage: Usage }): Route[] {
  return [route({
    method: 'GET',
    path: '/v1/usage',
    level: 'admin',
    extension: true,
    summary: 'Count the chats, by agent, and their tokens',
    query: Type.Object({ period: Type.Optional(Type.Union([Type.Literal('last_1h'), Type.Literal('last_24h'), Type.Literal('last_7d')])) }),
    handle: ({ query: { period = 'last_24h' } }) => ({ object: 'usage', type: 'usage.retrieved', data: usage.of(period) })
  })]
}

/** An estimate: no tokenizer is at hand, and four characters are a token in most of them. */
function tokensIn (text: string): number {
  return Math.ceil(text.length / 4)
}

function thisMinute (): number {
  return Math.floor(Date.now() / 60_000)
}
