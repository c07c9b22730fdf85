import { expect, test } from 'vitest'
import { fits } from '../../../plugins/mcp/subset.ts'

test.for([
  ['agent_get', 'agent_get', true], ['agent_get', 'agent_*', true], ['agent_get', '*_get', true], ['agent_get', '*', true], ['agent_get', 'a*t*t', true], ['agent_get', 'agent*agent_get', false],
  ['agent_get', '*gen*', true], ['agent_get', 'agent', false], ['agent_get', 'agent_*x', false], ['ab', 'ab*ab', false], ['abab', 'ab*ab', true], ['agent_get', '', false], ['a.b', 'a?b', false], ['aXb', 'a.b', false]
] as const)('%s against %s is %s', ([name, pattern, expected]) => {
  expect(fits(name, pattern)).toBe(expected)
})

test('a pattern that is made to be slow is not', () => {
  const started = performance.now()
  fits('a'.repeat(128), '*a'.repeat(1_000) + 'b')

  expect(performance.now() - started).toBeLessThan(50)
})
