// Whatever is thrown, wherever: the caller learns an id, the log the cause.
import type { FastifyInstance, RouteHandler } from 'fastify'
import { expect, test as base } from 'vitest'
import { buildApp } from '../../app.ts'
import { configFor, Lines } from '../app.ts'

const ok = { hello: 'you' }

const handlers: Record<string, RouteHandler> = {
  'a text': async () => { throw 'a secret' }, // eslint-disable-line no-throw-literal
  'a number': async () => { throw 404 }, // eslint-disable-line no-throw-literal
  null: async () => { throw null }, // eslint-disable-line no-throw-literal
  undefined: async () => { throw undefined }, // eslint-disable-line no-throw-literal
  'a symbol': async () => { throw Symbol('a secret') },
  'an error that is its own cause': async () => { const error = new Error('a secret'); error.cause = error; throw error },
  'a frozen error': async () => { throw Object.freeze(new Error('a secret')) },
  'an error that throws when looked at': async () => { throw { get statusCode () { throw new Error('a secret') } } }, // eslint-disable-line no-throw-literal
  'an error that says 200': async () => { throw Object.assign(new Error('a secret'), { statusCode: 200 }) },
  'a text at once': () => { throw 'a secret' }, // eslint-disable-line no-throw-literal
  'a rejection with nothing': async () => await Promise.reject() // eslint-disable-line prefer-promise-reject-errors
}
const hooks: Record<string, object> = {
  'an error in onSend': { onSend: async () => { throw new Error('a secret') } },
  'a text in onSend': { onSend: async () => { throw 'a secret' } }, // eslint-disable-line no-throw-literal
  'undefined in onSend': { onSend: async () => { throw undefined } }, // eslint-disable-line no-throw-literal
  'an object out of onSend': { onSend: async () => ({ not: 'a secret' }) },
  'an error in preSerialization': { preSerialization: async () => { throw new Error('a secret') } },
  'an error in preParsing': { preParsing: async () => { throw new Error('a secret') } },
  'a text in preHandler': { preHandler: async () => { throw 'a secret' } } // eslint-disable-line no-throw-literal
}
const answers: Record<string, RouteHandler> = {
  'an answer without what its contract has': async () => ({ secret: 'a secret' }),
  'an answer that throws when read': async () => ({ get hello () { throw new Error('a secret') } }),
  'a header that cannot be sent': async (_, reply) => { reply.header('x-odd', 'a\r\nsecret'); return ok }
}

const test = base.extend<{ lines: Lines, app: FastifyInstance }>({
  lines: [async ({}, use) => { await use(new Lines()) }, { scope: 'file' }],
  app: [async ({ lines }, use) => {
    const app = await buildApp(configFor({ url: 'http://127.0.0.1:9' }), lines)
    // As routes/ are registered: in a context of their own.
    await app.register(async (inner) => {
      const all = [...Object.entries({ ...handlers, ...answers }).map(([name, handler]) => ({ name, handler, hook: {} })), ...Object.entries(hooks).map(([name, hook]) => ({ name, handler: async () => ok, hook }))]
      for (const [index, { name, handler, hook }] of all.entries()) {
        const response = { 200: { type: 'object', properties: { hello: { type: 'string' } }, required: ['hello'] } }
        inner.get(urlOf(name), { schema: { operationId: `odd_${index}`, summary: name, tags: ['odd'], response }, config: { access: 'public' }, ...hook }, handler)
      }
    })
    await app.ready()
    await use(app)
    await app.close()
  }, { scope: 'file' }]
})

const urlOf = (name: string) => `/odd/${encodeURIComponent(name.replaceAll(' ', '-'))}`

test.for(Object.keys({ ...handlers, ...hooks, ...answers }))('%s is 500 with an id, and nothing of its cause', async (name, { app, lines }) => {
  const res = await app.inject(urlOf(name))

  expect(res.statusCode).toBe(500)
  expect(res.headers).toMatchObject({ 'content-type': 'application/json; charset=utf-8', 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
  expect(res.json()).toEqual({ error: { code: 'internal_error', message: 'this server failed; report the request id', request_id: res.headers['x-request-id'] } })
  expect(lines.of(res.headers['x-request-id'])).toContainEqual(expect.objectContaining({ level: 'error', message: 'the request failed' }))
  expect(lines.of(res.headers['x-request-id']).at(-1)).toMatchObject({ message: 'request failed', statusCode: 500, error: 'internal_error' })
})
