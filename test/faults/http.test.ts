// What goes wrong over HTTP, and where it is shown:
//
// content types, root primitives, __proto__ in bodies      here; test/plugins/errors.test.ts
// slow or truncated requests                               http-arrival.test.ts
// ambiguous framing, large headers                         http-framing.test.ts; behind a proxy: test/e2e/caddy.test.ts
// odd queries, ReDoS, $data, unknown fields, __proto__ in  http-contracts.test.ts
//   queries, internal fields of the Core
// costly and doubtful JSON, compressed bodies              http-json.test.ts
// another user's id                                        test/plugins/auth/auth.test.ts, test/routes/{conversations,memory,users}.test.ts
// levels on every method, routes without one               test/access.test.ts; test/plugins/operations.test.ts
// callers that leave                                       http-leaving.test.ts
// odd things thrown                                        http-throwing.test.ts
import { expect } from 'vitest'
import { as, sharedWith, type Shared } from '../app.ts'
import { inputFor } from '../inputs.ts'
import { send } from './server.ts'

const test = sharedWith()
const json = { ...as('admin'), 'content-type': 'application/json', host: 'localhost', accept: 'application/json, text/event-stream' }
const withBody = ({ operations }: Shared['app']) => operations.filter(({ hidden, contract: { body } }) => !hidden && body !== undefined)

test.for([
  'application/json\t', 'application/json \t;charset=utf-8', ' application/json', '\tapplication/json', 'application/json;;', 'application/json;', 'application/json,text/plain',
  'application/json; charset', 'APPLICATION/JSON', 'text/plain;application/json', 'application/json\u00a0', 'application/problem+json', '""', 'json'
])('with the content type %j on the wire no body passes unchecked', async (type, { url }) => {
  const body = '{"content":"hello","role":"admin"}'
  const { text } = await send(url, `POST /api/v1/chat HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${as('user').authorization}\r\nContent-Type:${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)

  expect(text).toMatch(/^HTTP\/1\.1 (?:400|415) /)
  expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toMatchObject({ error: { code: expect.toBeOneOf(['bad_request', 'unsupported_media_type']) } })
})

test('a body without a content type is 415', async ({ url }) => {
  const { text } = await send(url, `POST /api/v1/chat HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${as('user').authorization}\r\nContent-Length: 2\r\n\r\n{}`)

  expect(text).toMatch(/^HTTP\/1\.1 415 /)
})

test.for(['"5"', '5', 'null', 'true', '[]', '[{}]', '""', ' ', '{}{}', 'NaN'])('the body %j is 400 for every operation', async (payload, { app }) => {
  const passed: string[] = []
  for (const operation of withBody(app)) {
    const { statusCode } = await app.inject({ ...inputFor(operation).request, headers: json, payload })
    if (statusCode !== 400) passed.push(`${operation.id}: ${statusCode}`)
  }

  expect(passed).toEqual([])
})

test.for([
  '{"__proto__":{"polluted":1}}',
  '{"\\u005f\\u005fproto\\u005f\\u005f":{"polluted":1}}',
  '{"a":{"b":[{"__proto__":{"polluted":1}}]}}',
  '{"a":{"b":[{"_\\u005Fpr\\u006fto__" : {"polluted":1}}]}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  '{"a":[{"constructor":{"prototype":{"polluted":1}}}]}',
  '{"a":{"c\\u006fnstructor":{"pr\\u006ftotype":{"polluted":1}}}}'
])('%s anywhere in a body is 400 for every operation, and changes no prototype', async (hostile, { app, core }) => {
  const before = core.calls.length
  const passed: string[] = []
  for (const operation of withBody(app)) {
    const { payload, ...request } = inputFor(operation).request
    // Beside what is valid, and within it.
    for (const text of [hostile, payload!.replace(/^\{/, `{"metadata":${hostile},`), payload!.replace(/\}$/, `,${hostile.slice(1)}`)]) {
      const { statusCode } = await app.inject({ ...request, headers: json, payload: text })
      if (statusCode !== 400) passed.push(`${operation.id} ${text}: ${statusCode}`)
    }
  }

  expect(passed).toEqual([])
  expect(Object.keys(Object.prototype)).toEqual([])
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  expect(core.calls.slice(before).filter(({ method, path }) => method !== 'GET' && !path.startsWith('/v1/auth/'))).toEqual([])
})
