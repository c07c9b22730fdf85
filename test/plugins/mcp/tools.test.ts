import { Type } from '@sinclair/typebox'
import { describe, expect } from 'vitest'
import { buildApp } from '../../../app.ts'
import { reasonAgainst } from '../../../plugins/mcp/tools.ts'
import { configFor, Lines, test } from '../../app.ts'

const answer = Type.Object({ ok: Type.Boolean() })

test('arguments of one name in two places stop the start, and the message names both', async ({ core }) => {
  const app = await buildApp(configFor(core), new Lines())
  app.post('/api/v1/things/:thing_id', {
    schema: { operationId: 'thing_update', summary: 'Change a thing', tags: ['things'], params: Type.Object({ thing_id: Type.String() }), body: Type.Object({ thing_id: Type.String() }, { additionalProperties: false }), response: { 200: answer } } as object,
    config: { access: 'user' }
  }, async () => ({ ok: true }))

  await expect(app.ready()).rejects.toThrow('the tool thing_update would have two arguments named "thing_id": in params and in body')
  await app.close()
})

test('a body that is no object stops the start', async ({ core }) => {
  const app = await buildApp(configFor(core), new Lines())
  app.post('/api/v1/things', { schema: { operationId: 'thing_list_set', summary: 'Set all things', tags: ['things'], body: Type.Array(Type.String()), response: { 200: answer } } as object, config: { access: 'user' } }, async () => ({ ok: true }))

  await expect(app.ready()).rejects.toThrow('the body of thing_list_set is no object')
  await app.close()
})

describe('for a model', () => {
  test('each tool has a name, a title, and a description that says more than its title', async ({ app }) => {
    for (const { definition: { name, title, description } } of app.mcp.tools.values()) {
      expect.soft(name, name).toMatch(/^[a-z0-9_]{1,64}$/)
      expect.soft(title, name).toMatch(/^[A-Z].{8,}[^.]$/)
      expect.soft(description.startsWith(`${title}. `), name).toBe(true)
      expect.soft(description.slice(title.length + 2), name).toMatch(/^.{20,500}\.$/)
    }
  })

  test('each argument says what it is for, or is plain from its name', async ({ app }) => {
    const bare = [...app.mcp.tools.values()].flatMap(({ definition: { name, inputSchema } }) =>
      Object.entries(inputSchema.properties as Record<string, { description?: string, examples?: unknown[], enum?: unknown[], type?: string }>)
        .filter(([argument, { description, examples, enum: words }]) => description === undefined && examples === undefined && words === undefined && !/^(?:name|description|content|system_message)$/.test(argument))
        .map(([argument]) => `${name}.${argument}`))

    expect(bare).toEqual([])
  })

  test.for([
    ['agent_get', { readOnlyHint: true, destructiveHint: false, idempotentHint: true }],
    ['trace_search', { readOnlyHint: true, destructiveHint: false, idempotentHint: true }],
    ['agent_create', { readOnlyHint: false, destructiveHint: false, idempotentHint: false }],
    ['agent_update', { readOnlyHint: false, destructiveHint: true, idempotentHint: true }],
    ['user_context_update', { readOnlyHint: false, destructiveHint: true, idempotentHint: true }],
    ['agent_delete', { readOnlyHint: false, destructiveHint: true, idempotentHint: true }],
    ['key_revoke', { readOnlyHint: false, destructiveHint: true, idempotentHint: true }],
    ['chat_send', { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true }],
    ['mcp_server_connect', { readOnlyHint: false, destructiveHint: false, openWorldHint: true }]
  ] as const)('%s is annotated with %j', ([name, annotations], { app }) => {
    expect(app.mcp.tools.get(name)!.definition.annotations).toMatchObject(annotations)
  })
})

test('the order is that of the operations, at every start', async ({ app, core }) => {
  const other = await buildApp(configFor(core), new Lines())
  await other.ready()

  expect([...other.mcp.tools.keys()]).toEqual([...app.mcp.tools.keys()])
  expect([...app.mcp.tools.keys()]).toEqual(app.operations.map(({ id }) => id).filter((id) => app.mcp.tools.has(id)))
  await other.close()
})

test('what is no tool has a reason, and only streams, documents, exporters and the protocol have one', async ({ app }) => {
  const reasons = Object.fromEntries(app.operations.filter(({ hidden }) => !hidden).flatMap((operation) => {
    const reason = reasonAgainst(operation)
    return reason === undefined ? [] : [[operation.id, reason]]
  }))

  expect(Object.keys(reasons).filter((id) => app.mcp.tools.has(id))).toEqual([])
  expect(reasons).toMatchObject({ chat_stream: 'a stream', log_stream: 'a stream', metrics_get: 'no JSON', openapi_get: 'a document', log_ingest: 'for exporters', mcp_message_send: 'of the protocol itself', mcp_request_send: 'of the protocol itself', mcp_tool_list: 'of the protocol itself' })
  expect(new Set(Object.values(reasons))).toEqual(new Set(['a stream', 'no JSON', 'a document', 'a socket', 'for exporters', 'of the protocol itself']))
})
