import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { contractDocuments } from '../scripts/contract-documents.ts'
import { settingsDocuments } from '../scripts/settings-documents.ts'
import { as, test } from './app.ts'

type Node = Record<string, unknown>

/** Every schema below a value, with the path that leads to it. */
function * schemasIn (value: unknown, path: string): Generator<{ path: string, schema: Node }> {
  if (typeof value !== 'object' || value === null) return
  const node = value as Node
  if ('type' in node || 'anyOf' in node) yield { path, schema: node }
  for (const [name, child] of Object.entries(node)) if (name !== 'examples' && name !== 'enum') yield * schemasIn(child, `${path}.${name}`)
}

test('every operation has a name, a level, a summary, tags, and an answer', async ({ app }) => {
  for (const { id, access, contract } of app.operations.filter(({ hidden }) => !hidden)) {
    expect.soft(id).toMatch(/^[a-z][a-z0-9]*(_[a-z0-9]+)+$/)
    expect.soft(['public', 'user', 'admin'], id).toContain(access)
    expect.soft(contract.summary, id).toMatch(/^[A-Z].{8,}[^.]$/)
    expect.soft(contract.tags, id).toHaveLength(1)
    expect.soft(Object.keys(contract.response).filter((status) => status.startsWith('2') || status === '101'), id).not.toEqual([])
  }
})

test('every input is bounded: strings, arrays and numbers', async ({ app }) => {
  const unbounded = app.operations.filter(({ hidden }) => !hidden).flatMap(({ id, contract: { params, querystring, body } }) =>
    [...schemasIn({ params, querystring, body }, id)].filter(({ schema }) => {
      if (schema.type === 'string') return schema.maxLength === undefined && schema.pattern === undefined && schema.enum === undefined && schema.const === undefined
      if (schema.type === 'array') return schema.maxItems === undefined
      if (schema.type === 'integer' || schema.type === 'number') return schema.minimum === undefined || schema.maximum === undefined
      return schema.type === 'object' && schema.additionalProperties === undefined && schema.patternProperties === undefined && !/params$/.test(schema.title as string ?? '') && 'properties' in schema && id !== '' && !isParams(schema, params)
    }).map(({ path }) => path))

  expect(unbounded).toEqual([])
})

test('every format that is not obvious has an example', async ({ app }) => {
  const bare = app.operations.filter(({ hidden }) => !hidden).flatMap(({ id, contract: { params, querystring, body } }) =>
    [...schemasIn({ params, querystring, body }, id)].filter(({ schema }) => schema.pattern !== undefined && schema.examples === undefined).map(({ path }) => path))

  expect(bare).toEqual([])
})

test('the router knows the routes that app.operations lists, and no other', async ({ app }) => {
  const stack: string[] = []
  const routes = app.printRoutes({ commonPrefix: false }).split('\n').flatMap((line) => {
    const [, indent, path, methods] = /^(.*?)[├└]── (\S+) \(([^)]+)\)/.exec(line) ?? []
    if (indent === undefined) return []
    const depth = indent.length / 4
    stack.splice(depth, stack.length, path!)
    const url = stack.join('').replace(/(?<=.)\/$/, '')
    return methods!.split(', ').filter((method) => method !== 'HEAD' && method !== 'OPTIONS').map((method) => `${method} ${url}`)
  })
  const listed = app.operations.map(({ method, url }) => `${method} ${url.replace(/(?<=.)\/$/, '').replace('/docs/static/*', '/docs/*')}`)

  expect(new Set(routes).size).toBeGreaterThan(20)
  expect([...new Set(routes)].sort()).toEqual(listed.sort())
})

test('the committed documents are those that the contracts make', async () => {
  for (const [path, text] of Object.entries({ ...await contractDocuments(), ...settingsDocuments() })) {
    expect.soft(readFileSync(path, 'utf8') === text, `${path} is fresh`).toBe(true)
  }
})

test('the live document and the live list of tools are the committed ones', async ({ app }) => {
  const document = await app.inject('/openapi.json')
  const { tools } = JSON.parse(readFileSync('mcp-tools.json', 'utf8')) as { tools: unknown[] }
  const listed = await app.inject({
    method: 'POST', url: '/mcp', headers: { ...as('admin'), host: 'localhost', accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/list' }
  })

  expect(document.json()).toEqual(JSON.parse(readFileSync('openapi.json', 'utf8')))
  expect((JSON.parse(listed.body.replace(/^event: message\ndata: /, '')) as { result: { tools: unknown[] } }).result.tools).toEqual(tools)
})

test('every reference of the document resolves, and no entity is spelled out twice', async ({ app }) => {
  const text = JSON.stringify(app.openapi())
  const { components: { schemas } } = app.openapi() as { components: { schemas: Record<string, unknown> } }
  const named = [...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name!)

  expect([...new Set(named)].sort()).toEqual(Object.keys(schemas).sort())
})

test('an answer without a body is declared without one, or generated clients would read it', async ({ app }) => {
  const { paths } = app.openapi() as { paths: Record<string, Record<string, { responses: Record<string, Node> }>> }
  const unchanged = Object.values(paths).flatMap((path) => Object.values(path)).map(({ responses }) => responses[304]).filter((answer) => answer !== undefined)

  expect(unchanged.length).toBeGreaterThan(0)
  expect(unchanged.filter((answer) => 'content' in answer)).toEqual([])
})

function isParams (schema: Node, params: unknown): boolean {
  return schema === params
}
