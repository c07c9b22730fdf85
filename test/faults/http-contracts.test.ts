// Generated over the contracts: whatever an operation is called, its input is bounded, typed and known.
import type { InjectOptions } from 'fastify'
import { Ajv } from 'ajv'
import { expect } from 'vitest'
import { as, sharedWith, type Shared } from '../app.ts'
import { inputFor } from '../inputs.ts'

interface Schema { type?: string, enum?: unknown[], pattern?: string, format?: string, maxLength?: number, properties?: Record<string, Schema>, patternProperties?: Record<string, Schema>, items?: Schema, anyOf?: Schema[] }
type Operation = Shared['app']['operations'][number]

const test = sharedWith()
const headers = { ...as('admin'), host: 'localhost', accept: 'application/json, text/event-stream' }

const shown = ({ operations }: Shared['app']) => operations.filter(({ hidden }) => !hidden)
const queryOf = ({ contract: { querystring } }: Operation) => Object.entries((querystring as Schema | undefined)?.properties ?? {})
const requestFor = (operation: Operation): InjectOptions => {
  const { request } = inputFor(operation)
  return { ...request, headers: { ...headers, ...(request.payload !== undefined && { 'content-type': 'application/json' }) } }
}
/** The URL with one parameter spelled as given. */
const urlWith = (operation: Operation, name: string, ...pairs: string[]) => {
  const [path, query = ''] = inputFor(operation).request.url.split('?')
  return `${path}?${[...query.split('&').filter((pair) => pair !== '' && !pair.startsWith(`${name}=`)), ...pairs].join('&')}`
}

/** The operations that take a number, with what its parameter must not be. */
const notNumbers = ['1e9', '-1', 'NaN', 'Infinity', '0x10', '9e99', '1_000', '%201', '1%00', '']

test('what is no number in range is 400 with the field named, for every number of every query', async ({ app }) => {
  const wrong: string[] = []
  let asked = 0
  for (const operation of shown(app)) {
    for (const [name] of queryOf(operation).filter(([, { type }]) => type === 'integer' || type === 'number')) {
      for (const value of notNumbers) {
        const { statusCode, json } = await app.inject({ ...requestFor(operation), url: urlWith(operation, name, `${name}=${value}`) })
        if (statusCode !== 400 || fieldOf(json()) !== `querystring.${name}`) wrong.push(`${operation.id} ${name}=${value}: ${statusCode}`)
        asked++
      }
    }
  }

  expect(wrong).toEqual([])
  expect(asked).toBeGreaterThan(50)
})

test('a parameter that stands twice, or as a list, or is not known, is 400 with the field named, for every operation', async ({ app }) => {
  const wrong: string[] = []
  let asked = 0
  for (const operation of shown(app)) {
    const attempts = queryOf(operation).flatMap(([name]): [string, string, string[]][] => [[name, name, [`${name}=a`, `${name}=b`]], [`${name}[]`, name, [`${name}[]=a`]], [`${name}[0]`, name, [`${name}[0]=a`]]])
    const strangers = [['role', 'admin'], ['level[]', 'info'], ['from', '2023-13-99'], ['from', '9e99'], ['__proto__', '1'], ['%5f_proto__', '1'], ['__proto__[a]', '1'], ['constructor[prototype][a]', '1'], ['constructor.prototype.a', '1']] as const
    attempts.push(...strangers.filter(([name]) => !queryOf(operation).some(([known]) => known === name)).map(([name, value]): [string, string, string[]] => [decodeURIComponent(name), name, [`${name}=${value}`]]))
    for (const [field, name, pairs] of attempts) {
      const { statusCode, body } = await app.inject({ ...requestFor(operation), url: urlWith(operation, name, ...pairs) })
      const named = statusCode === 400 ? fieldOf(JSON.parse(body)) : undefined
      // A parameter that must be there is missed first where it is only there in another spelling.
      if (statusCode !== 400 || ![`querystring.${field}`, `querystring.${name}`].includes(named ?? '')) wrong.push(`${operation.id} ${pairs.join('&')}: ${statusCode} ${named}`)
      asked++
    }
  }

  expect(wrong).toEqual([])
  expect(asked).toBeGreaterThan(200)
  expect(({} as Record<string, unknown>).a).toBeUndefined()
})

test('an answer about a wrong parameter is not given to the next caller', async ({ app }) => {
  const wrong = await app.inject('/openapi.json?one=1')
  const other = await app.inject('/openapi.json?other=1')
  const right = await app.inject('/openapi.json')

  expect([wrong, other].map(({ json }) => fieldOf(json()))).toEqual(['querystring.one', 'querystring.other'])
  expect(right.json()).toHaveProperty('openapi')
})

test('a field that no contract knows is 400 with its name, for every body: nobody becomes an admin by saying so', async ({ app, core }) => {
  const before = core.calls.length
  const wrong: string[] = []
  // What later revisions of MCP and OTLP add must be passed over.
  for (const operation of shown(app).filter(({ contract: { body, tags } }) => body !== undefined && !tags.includes('mcp') && !tags.includes('otlp'))) {
    for (const extra of ['role', 'access', 'sub', 'userId', 'is_admin']) {
      const { payload, ...request } = requestFor(operation)
      const res = await app.inject({ ...request, payload: { ...JSON.parse(payload as string) as object, [extra]: 'admin' } })
      // Where the choice of one field is the rule, the body is at fault.
      if (res.statusCode !== 400 || ![`body.${extra}`, 'body'].includes(fieldOf(res.json()) ?? '')) wrong.push(`${operation.id} ${extra}: ${res.statusCode}`)
    }
  }

  expect(wrong).toEqual([])
  expect(core.calls.slice(before).filter(({ path, method }) => method !== 'GET' && !path.startsWith('/v1/auth/'))).toEqual([])
})

test('what a contract does not show of the Core\'s answer stays inside', async ({ app, core }) => {
  const secret = { internal_note: 'for nobody', api_key: 'sk-of-a-model', role: 'admin' }
  core.agents.set('leaky', { ...core.agents.get('greeter')!, id: 'leaky', ...secret, model: { provider: 'p', model: 'm', ...secret } } as never)
  const answers = [await app.inject({ url: '/api/v1/agents/leaky', headers }), await app.inject({ url: '/api/v1/agents', headers })]
  const heal = core.fail({ path: '/v1/users', status: 200, body: JSON.stringify({ success: true, data: { users: [{ user_id: 'u1', ...secret }], ...secret } }) })
  answers.push(await app.inject({ url: '/api/v1/users', headers }))
  heal()
  core.agents.delete('leaky')

  expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200])
  expect(answers.map(({ body }) => body).join()).not.toMatch(/for nobody|sk-of-a-model|internal_note/)
})

/** Texts that make patterns go back and forth, with 50,000 characters. */
const evil = ['a', '0', '-', '.', '/', '../', '/..', 'a.', ',', ' ', 'a,', '@', 'a@', 'http://', 'https://a', '+', '2026-01-01T', '1:', '"', '\u00e9', '!a'].flatMap((piece) => {
  const long = piece.repeat(Math.ceil(50_000 / piece.length))
  return [long, `${long}!`, `${long}\n`, `https://${long}\u0000`]
})

test('no pattern and no format is slow at any text', async ({ app }) => {
  const patterns = new Map<string, Schema>()
  const collect = (schema: Schema | undefined): void => {
    if (schema === undefined) return
    const { pattern, format, maxLength } = schema
    if (pattern !== undefined || format !== undefined) patterns.set(`${pattern} ${format}`, { type: 'string', pattern, format, maxLength })
    for (const name of Object.keys(schema.patternProperties ?? {})) patterns.set(name, { type: 'string', pattern: name })
    for (const inner of [...Object.values(schema.properties ?? {}), ...Object.values(schema.patternProperties ?? {}), schema.items, ...schema.anyOf ?? []]) collect(inner)
  }
  for (const { contract: { params, querystring, headers, body, response } } of app.operations) {
    for (const schema of [params, querystring, headers, body, ...Object.values(response ?? {})]) collect(schema as Schema | undefined)
  }
  const costs: Record<string, number> = {}
  for (const [name, { maxLength, ...schema }] of patterns) {
    // As bare as it can be: with the contract's maxLength most texts are never matched.
    const valid = app.validatorCompiler!({ schema: JSON.parse(JSON.stringify(schema)) as object, httpPart: 'body', method: 'POST', url: '/' }) as (text: string) => unknown
    costs[name] = Math.max(...evil.map((text) => fastest(() => valid(text))))
  }

  expect(patterns.size).toBeGreaterThan(8)
  expect(Object.entries(costs).filter(([, ms]) => ms > 10)).toEqual([])
})

test('every text of a query, a path or a body has an end: a length, a bounded pattern or a list of words', ({ app }) => {
  const endless: string[] = []
  const walk = (schema: Schema | undefined, place: string): void => {
    if (schema === undefined) return
    const { type, maxLength, pattern = '', enum: words } = schema
    if (type === 'string' && maxLength === undefined && words === undefined && !/\{\d+,\d+\}\$$/.test(pattern)) endless.push(place)
    for (const [name, inner] of Object.entries(schema.properties ?? {})) walk(inner, `${place}.${name}`)
    for (const inner of [...Object.values(schema.patternProperties ?? {}), schema.items, ...schema.anyOf ?? []]) walk(inner, `${place}[]`)
  }
  for (const { id, contract: { params, querystring, body } } of shown(app)) for (const schema of [params, querystring, body]) walk(schema as Schema | undefined, id)

  expect(endless).toEqual([])
})

test('no schema takes its rules from the input: $data is off', ({ app }) => {
  const compile = (schema: object) => app.validatorCompiler!({ schema, httpPart: 'body', method: 'POST', url: '/' })
  const schema = { type: 'object', properties: { rule: { type: 'string' }, text: { type: 'string', pattern: { $data: '1/rule' } } } }

  expect(() => compile(schema)).toThrow(/pattern must be string/)
  expect(() => new Ajv({ $data: true }).compile(schema)).not.toThrow()
})

function fieldOf (body: unknown): string | undefined {
  const { error: { details, data } } = body as { error: { details?: { field?: string }, data?: { details?: { field?: string } } } }
  return (details ?? data?.details)?.field
}

/** The least of three, in ms: what else runs can only add to it. */
function fastest (work: () => unknown): number {
  return Math.min(...[1, 2, 3].map(() => {
    const before = performance.now()
    work()
    return performance.now() - before
  }))
}
