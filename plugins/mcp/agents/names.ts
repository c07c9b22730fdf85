import { createHash } from 'node:crypto'

/** What a tool of an agent is known by where it comes from. */
export interface Origin { agent: string, server: string, tool: string }

const longest = 64
const suffixed = /_[0-9a-f]{10}$/

/** What every name of an agent's tool looks like; operations and what stands for them have other names. */
export const nameForm = /^tool_[a-z0-9][a-z0-9_]*_[a-z0-9_]+$/

/**
 * Names for tools of agents, in the same order: `tool_{agent_id}_{tool}`. One that would not be its own, or was cut, ends in a digest of where the tool comes from:
 * so a name never comes to mean another tool, whatever is connected or goes away beside it. undefined for what cannot be told apart even so.
 */
export function namesOf (origins: readonly Origin[]): (string | undefined)[] {
  const plain = origins.map(({ agent, tool }) => fit(`tool_${agent}_${tool}`))
  const counts = counted(plain)
  const names = origins.map((origin, i) => {
    const name = plain[i]!
    // A tool whose own name looks like one with a digest must not pass for another.
    return name.length <= longest && counts.get(name) === 1 && !suffixed.test(name) ? name : `${name.slice(0, longest - 11)}_${digestOf(origin)}`
  })
  const final = counted(names)
  return names.map((name) => final.get(name) === 1 ? name : undefined)
}

function fit (text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9_]/g, '_')
}

function digestOf ({ agent, server, tool }: Origin): string {
  return createHash('sha256').update(JSON.stringify([agent, server, tool])).digest('hex').slice(0, 10)
}

function counted (names: string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
