// JSON that is meant to hold the server up, and JSON whose meaning is in doubt. Costs are ratios to a plain body of the same size.
import { readFileSync } from 'node:fs'
import { describe, expect } from 'vitest'
import { isMostlyText } from '../../plugins/json.ts'
import { inputFor } from '../inputs.ts'
import { as, sharedWith, type Shared } from '../app.ts'

const test = sharedWith()
const mib = 1_048_576
const json = { ...as('admin'), 'content-type': 'application/json' }

const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
const nestedObjects = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
/** Texts that look like numbers have hashes that can be computed: these share the low bits, and so their place in a table. */
const colliding = (count: number, form: (text: string) => string) => Array.from({ length: count }, (_, index) => form(`"${index * 131_072 % 4_294_967_000}"`)).join()

const costly: Record<string, string> = {
  '100,000 levels of lists': nested(100_000),
  '100,000 levels of objects': nestedObjects(100_000),
  '4 million brackets': nested(2 * mib),
  'a million objects': `[${'{},'.repeat(mib)}1]`,
  '100,000 colliding names': `{${colliding(100_000, (text) => `${text}:1`)}}`,
  '100,000 colliding texts': `[${colliding(100_000, (text) => text)}]`,
  '2 million escaped quotes': `{"content":"${'\\"'.repeat(2 * mib)}"}`,
  '2 million escaped backslashes': `{"content":"${'\\\\'.repeat(2 * mib)}"}`,
  '20,000 runs of backslashes': `{"content":"${('\\\\'.repeat(100) + '\\"').repeat(20_000)}"}`,
  '4 MiB of blanks': `${' '.repeat(4 * mib)}{}`,
  'a text without an end': `{"content":"${'a'.repeat(4 * mib)}`
}

/** What the system says that this thread has used of a processor, in ms; elsewhere than on Linux how long it was busy. */
function used (): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ', 1)[0]) / 1e6
  } catch {
    return performance.eventLoopUtilization().active
  }
}

/** Time of a processor for one call, in ms, the least of a few: what else runs can only add to it. */
async function costOf (app: Shared['app'], payload: string): Promise<{ ms: number, status: number }> {
  let least = Infinity
  let status = 0
  const bytes = Buffer.from(payload)
  for (let attempt = 0; attempt < 3; attempt++) {
    const before = used()
    status = (await app.inject({ method: 'POST', url: '/api/v1/chat', headers: json, payload: bytes })).statusCode
    least = Math.min(least, used() - before)
  }
  return { ms: least, status }
}

test.for(Object.keys(costly))('%s cost little more than a text of that size', async (name, { app }) => {
  const plain = await costOf(app, JSON.stringify({ content: 'a'.repeat(costly[name]!.length) }))
  const { ms, status } = await costOf(app, costly[name]!)

  expect(status).toBe(400)
  expect(ms).toBeLessThan(5 * plain.ms + 25)
})

test('files and long texts pass, whatever they quote', async ({ app }) => {
  const attachments = [{ type: 'image/png', name: 'a.png', data: Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(9 * mib)]).toString('base64') }]
  const res = await app.inject({ method: 'POST', url: '/api/v1/chat', headers: json, payload: { content: '"\\'.repeat(50_000), attachments } })

  expect(res.statusCode).toBe(200)
})

test.for([
  ['a text', JSON.stringify('x'.repeat(200_000)), true],
  ['texts that end in backslashes', JSON.stringify(['\\', '\\\\', '"\\"', 'x'.repeat(70_000)]), true],
  ['64 KiB outside of texts', `[${'1,'.repeat(32_000)}"${'x'.repeat(70_000)}"]`, true],
  ['more than that', `[${'1,'.repeat(33_000)}"${'x'.repeat(70_000)}"]`, false],
  ['more than that, behind a quote that ends no text', `["\\"${'x'.repeat(70_000)}",${'1,'.repeat(33_000)}1]`, false],
  ['more than that, behind a backslash that escapes no quote', `["\\\\",${'1,'.repeat(33_000)}1]`, false]
] as const)('%s: mostly text is %3$s', ([, text, expected]) => {
  expect(isMostlyText(text)).toBe(expected)
})

test.for([65, 1_000, 9_000])('%i levels where a contract takes any JSON are 400, as a tool, too', async (levels, { app }) => {
  const deep = nestedObjects(levels)
  const context = await app.inject({ method: 'POST', url: '/api/v1/users/u1/context', headers: json, payload: `{"knowledge":${deep}}` })
  const tool = await app.inject({ method: 'POST', url: '/mcp', headers: { ...json, host: 'localhost', accept: 'application/json, text/event-stream' }, payload: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"user_context_create","arguments":{"user_id":"u1","knowledge":${deep}}}}` })

  expect(context.statusCode).toBe(400)
  expect(tool.statusCode).toBe(400)
  expect(tool.json()).toMatchObject({ error: { message: 'body must have at most 64 levels', data: { code: 'bad_request' } } })
})

describe('what is in doubt has one meaning', () => {
  const agent = (more: string) => `{"description":"d","model":{"provider":"p","model":"m"},${more}}`
  const create = async (app: Shared['app'], payload: string) => await app.inject({ method: 'POST', url: '/api/v1/agents', headers: json, payload })
  const say = async (app: Shared['app'], payload: string) => await app.inject({ method: 'POST', url: '/api/v1/chat', headers: json, payload })

  test('a number beyond every double is above every maximum', async ({ app }) => {
    const res = await create(app, agent('"id":"huge","model":{"provider":"p","model":"m","temperature":1e999}'))

    expect(res.statusCode).toBe(400)
    expect(res.json()).toMatchObject({ error: { details: { field: 'body.model.temperature' } } })
  })

  test('of a member that stands twice the last one counts', async ({ app }) => {
    expect((await create(app, agent('"id":"first","id":"last"'))).json()).toMatchObject({ id: 'last' })
  })

  test('a byte order mark before the body is passed over', async ({ app }) => {
    expect((await say(app, '\ufeff{"content":"hello"}')).statusCode).toBe(200)
  })

  test('half of a surrogate pair goes on as it came', async ({ app, core }) => {
    const res = await say(app, '{"content":"\\ud800"}')

    expect(res.statusCode).toBe(200)
    expect(res.body).toContain('"content":"\\ud800"')
    expect(core.calls.findLast(({ path }) => path === '/v1/chat')!.body).toMatchObject({ message: '\ud800' })
  })

  test('bytes that are no UTF-8 become replacement characters', async ({ app }) => {
    const res = await app.inject({ method: 'POST', url: '/api/v1/chat', headers: json, payload: Buffer.from([...Buffer.from('{"content":"'), 0xff, ...Buffer.from('"}')]) })

    expect(res.json()).toMatchObject({ user_message: { content: '\ufffd' } })
  })

  test('no operation fails at text of half pairs and control characters', async ({ app }) => {
    const failed: string[] = []
    for (const operation of app.operations.filter(({ contract: { body } }) => body !== undefined)) {
      const { request } = inputFor(operation)
      const odd = JSON.parse(request.payload!, (_, value: unknown) => typeof value === 'string' ? '\ud800\u0000\u2028' : value) as object
      const { statusCode } = await app.inject({ ...request, headers: { ...json, host: 'localhost', accept: 'application/json, text/event-stream' }, payload: JSON.stringify(odd) })
      if (statusCode >= 500) failed.push(`${operation.id} ${statusCode}`)
    }

    expect(failed).toEqual([])
  })
})

test.for(['gzip', 'deflate', 'br', 'zstd', 'gzip, gzip'])('a body in the encoding %s is 415, and is not decoded', async (encoding, { app }) => {
  const res = await app.inject({ method: 'POST', url: '/api/v1/chat', headers: { ...json, 'content-encoding': encoding }, payload: '{"content":"hello"}' })

  expect(res.statusCode).toBe(415)
  expect(res.json()).toMatchObject({ error: { code: 'unsupported_media_type', message: 'send the body without Content-Encoding' } })
})

test.for(['gzip', 'gzip;q=1e999', 'br, '.repeat(2_000), '*', 'gzip;q=0, *;q=0'])('whoever accepts %s gets the answer as it is', async (accepted, { app }) => {
  const { statusCode, headers } = await app.inject({ url: '/openapi.json', headers: { 'accept-encoding': accepted } })

  expect(statusCode).toBe(200)
  expect(headers).not.toHaveProperty('content-encoding')
})
