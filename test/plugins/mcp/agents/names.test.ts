import { expect, test } from 'vitest'
import { namesOf, nameForm } from '../../../../plugins/mcp/agents/names.ts'

const origin = (agent: string, tool: string, server = 's') => ({ agent, server, tool })

test.for([
  ['analyst', 'add', 'tool_analyst_add'],
  ['Weather.Expert-2', 'get/Forecast', 'tool_weather_expert_2_get_forecast'],
  ['a', 'größe', 'tool_a_gr__e']
] as const)('the tool %s of %s is called by both, in lower case, with _ for all other characters', ([agent, tool, name]) => {
  expect(namesOf([origin(agent, tool)])).toEqual([name])
})

test('names that would be one end in a digest of where each is from, whatever order they come in', () => {
  const two = [origin('a', 'Add'), origin('a', 'add')]
  const names = namesOf(two)

  expect(new Set(names).size).toBe(2)
  for (const name of names) expect(name).toMatch(/^tool_a_add_[0-9a-f]{10}$/)
  expect(namesOf([...two].reverse())).toEqual([...names].reverse())
  expect(namesOf([...two, origin('b', 'more')]).slice(0, 2)).toEqual(names)
})

test('the same tool of two servers, and of two agents whose ids come to one, are told apart', () => {
  const names = namesOf([origin('a', 'add', 'one'), origin('a', 'add', 'two'), origin('x_y', 'z'), origin('x.y', 'z')])

  expect(new Set(names).size).toBe(4)
  expect(names).not.toContain(undefined)
})

test('a name has at most 64 characters, and one that is cut is still its own', () => {
  const long = 'x'.repeat(128)
  const names = namesOf([origin(long, 'one'), origin(long, 'two'), origin('a', 'y'.repeat(256))])

  expect(names.every((name) => name!.length === 64)).toBe(true)
  expect(new Set(names).size).toBe(3)
})

test('a tool cannot pass for another by calling itself what that one is called with its digest', () => {
  const [name] = namesOf([origin('a', 'add', 'one'), origin('a', 'add', 'two')])
  const forged = name!.slice('tool_a_'.length)
  const names = namesOf([origin('a', 'add', 'one'), origin('a', 'add', 'two'), origin('a', forged, 'evil')])

  expect(names[0]).toBe(name)
  expect(new Set(names).size).toBe(3)
})

test('the form is that of every such name, and of no operation and no tool of the compact list', () => {
  expect(namesOf([origin('a', '.'), origin('7', 'A')]).every((name) => nameForm.test(name!))).toBe(true)
  for (const name of ['agent_list', 'tool_search', 'tool_describe', 'tool_call', 'tool_', 'Tool_a_b']) expect(nameForm.test(name)).toBe(false)
})
