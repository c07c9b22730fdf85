import { expect, test } from 'vitest'
import { mostBytes, resultOf } from '../../../../plugins/mcp/agents/results.ts'

test('text, images, sounds, resources and links go through as they are', () => {
  const content = [
    { type: 'text', text: 'ü' }, { type: 'image', data: 'aGk=', mimeType: 'image/png' }, { type: 'audio', data: 'aGk=', mimeType: 'audio/wav' },
    { type: 'resource', resource: { uri: 'file:///a', text: 'a' } }, { type: 'resource_link', uri: 'file:///b', name: 'b' }
  ]

  expect(resultOf({ content, structured_content: { a: 1 }, is_error: false })).toEqual({ content, structuredContent: { a: 1 } })
})

test('a failure of the tool is one here', () => {
  expect(resultOf({ content: [{ type: 'text', text: 'it always fails' }], is_error: true })).toEqual({ content: [{ type: 'text', text: 'it always fails' }], isError: true })
})

test('a kind of content that is not known yet is named', () => {
  expect(resultOf({ content: [{ type: 'hologram', data: 1 }, { type: 'text', text: 'a' }] })).toEqual({ content: [{ type: 'text', text: '[hologram]' }, { type: 'text', text: 'a' }] })
})

test.for([
  [{ content: 'text' }], [{ content: [{ type: 'text' }] }], [{ content: [{ type: 'image', data: 5 }] }], [{ content: [null] }]
] as const)('%j cannot be used, and says so', ([answer]) => {
  expect(resultOf(answer)).toEqual({ content: [{ type: 'text', text: 'the tool gave an answer that cannot be used' }], isError: true })
})

test('an answer that is too large says how large it is', () => {
  const { content, isError } = resultOf({ content: [{ type: 'text', text: 'x'.repeat(10_000_000) }] })

  expect(isError).toBe(true)
  expect(content).toEqual([{ type: 'text', text: expect.stringMatching(new RegExp(`^the answer of the tool is too large \\(100000\\d\\d bytes, ${mostBytes} at most\\)`)) }])
})
