import { expect, test } from 'vitest'
import { at, documentsWith, operationsIn, resolved } from './document.ts'

const { openapi, openapiNext } = await documentsWith()
const operations = operationsIn(resolved(openapi, openapi))

test('every operation says what it does, where it belongs and who may call it', () => {
  const names = openapi.tags.map(({ name }) => name)
  const words: Record<string, RegExp> = { public: /Needs no key\.$/, user: /Needs a user key or an admin key\.$/, admin: /Needs an admin key\.$/ }

  expect(operations.size).toBeGreaterThan(30)
  for (const [id, { summary, description, tags, security, 'x-access': level }] of operations) {
    expect.soft(summary, id).not.toBe('')
    expect.soft(description.split('\n\n'), id).toHaveLength(2)
    expect.soft(description, id).toMatch(words[level]!)
    expect.soft(names, id).toContain(tags[0])
    expect.soft(security, id).toEqual(level === 'public' ? [] : [{ key: [level] }, { header: [level] }])
  }
})

test('every tag is in use, and the 3.2 document says below which it is', () => {
  const used = new Set([...operations.values()].flatMap(({ tags }) => tags))
  const names = openapi.tags.map(({ name }) => name)

  expect(names.filter((name) => !used.has(name))).toEqual([])
  expect(openapi.tags.every((tag) => Object.keys(tag).join() === 'name,description')).toBe(true)
  expect(openapiNext.tags.map(({ name }) => name)).toEqual(names)
  for (const { name, parent } of openapiNext.tags) if (parent !== undefined) expect.soft(names.indexOf(parent), name).toBeLessThan(names.indexOf(name))
})

test.for([['3.1', openapi], ['3.2', openapiNext]] as const)('every reference of the %s document resolves, and every component is in use', ([, document]) => {
  const used = new Set([...JSON.stringify(document).matchAll(/"(#\/components\/[^"]+)"/g)].map(([, reference]) => reference!))
  const { securitySchemes: _, ...components } = document.components
  const named = Object.entries(components).flatMap(([kind, parts]) => Object.keys(parts).map((name) => `#/components/${kind}/${name}`))

  expect([...used].filter((reference) => at(document, reference) === undefined)).toEqual([])
  expect(named.filter((reference) => !used.has(reference))).toEqual([])
})

test.for([
  ['chat_send', ['X-Muxi-User-Id', 'Idempotency-Key']],
  ['chat_stream', ['X-Muxi-User-Id', 'Idempotency-Key', 'Last-Event-ID']],
  ['agent_list', ['If-None-Match']],
  ['agent_create', ['Idempotency-Key']],
  ['agent_update', ['If-Match']],
  ['user_context_create', ['X-Muxi-User-Id', 'Idempotency-Key', 'If-Match']],
  ['mcp_message_send', ['X-Muxi-User-Id', 'Idempotency-Key', 'MCP-Protocol-Version', 'Mcp-Method', 'Mcp-Name']],
  ['health_get', []]
] as const)('%s takes the headers %j', ([id, names]) => {
  expect((operations.get(id)!.parameters ?? []).filter((parameter) => parameter.in === 'header').map(({ name }) => name)).toEqual(names)
})

test.for([
  ['agent_list', '200', ['ETag', 'Link', 'RateLimit', 'X-Request-Id']],
  ['agent_list', '304', ['ETag']],
  ['agent_list', '401', ['WWW-Authenticate']],
  ['agent_list', '403', ['WWW-Authenticate']],
  ['agent_list', '429', ['Retry-After', 'RateLimit']],
  ['agent_create', '201', ['Idempotent-Replayed']],
  ['agent_create', '409', ['Retry-After']],
  ['agent_create', '502', ['Idempotent-Replayed']],
  ['conversation_list', '200', ['Link']],
  ['mcp_message_stream', '405', ['Allow']]
] as const)('%s tells with %s the headers %j', ([id, status, names]) => {
  expect(Object.keys(operations.get(id)!.responses[status]!.headers)).toEqual(expect.arrayContaining([...names]))
})
