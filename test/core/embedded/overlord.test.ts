import { expect, test } from 'vitest'
import { createAgent, formationAgents } from '../../../core/embedded/agents.ts'
import { choose, isGreeting } from '../../../core/embedded/overlord.ts'

const model = { provider: 'p', model: 'm' }
const agents = [...formationAgents(model).values()]

test('a message goes to the agent whose words it uses', () => {
  const cook = createAgent({ id: 'cook', description: 'Knows recipes and kitchens', model }, 'api')

  expect(choose([...agents, cook], 'A recipe, please').agent.id).toBe('cook')
  expect(choose(agents, 'What do the numbers say?').agent.id).toBe('analyst')
  expect(choose(agents, '12 plus 3').agent.id).toBe('analyst')
  expect(choose(agents, 'hi').agent.id).toBe('greeter')
  expect(choose(agents, 'ask the analyst').agent.id).toBe('analyst')
})

test('a tie goes to the first, with a confidence that shows it', () => {
  expect(choose(agents, 'zzz')).toMatchObject({ agent: { id: 'greeter' }, confidence: 0.5 })
  expect(choose(agents, 'good morning, analyst, numbers!').confidence).toBeLessThan(1)
  expect(choose(agents, 'numbers').confidence).toBe(1)
})

test('without agents the generalist answers', () => {
  expect(choose([], 'hi').agent.id).toBe('muxi-generalist')
})

test('a greeting is nothing but a greeting', () => {
  for (const message of ['Hello', 'hi there!', 'Good morning.', 'hey muxi']) expect(isGreeting(message)).toBe(true)
  for (const message of ['hello, what is 2+2?', 'this', 'history', '']) expect(isGreeting(message)).toBe(false)
})
