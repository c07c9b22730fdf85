import Fastify from 'fastify'
import { expect, test } from 'vitest'
import { buildApp } from '../../app.ts'
import operations from '../../plugins/operations.ts'
import { configFor } from '../app.ts'

const config = configFor({ url: 'http://127.0.0.1:9' }, { MUXI_API_LOG_LEVEL: 'silent' })
const ok = { operationId: 'thing_get', summary: 'Get a thing', tags: ['things'], response: {} }

test('a route without an access level stops the start, which names it', async () => {
  const app = await buildApp(config)
  app.get('/api/v1/things', { schema: ok }, async () => '')

  await expect(app.ready()).rejects.toThrow('GET /api/v1/things has no access level')
  await app.close()
})

test('routes without, with a malformed, with a repeated operation id are all named at once', async () => {
  const app = Fastify()
  await app.register(operations)
  app.get('/a', { config: { access: 'user' } }, async () => '')
  app.get('/b', { schema: { ...ok, operationId: 'listThings' }, config: { access: 'user' } }, async () => '')
  app.get('/c', { schema: ok, config: { access: 'user' } }, async () => '')
  app.post('/d', { schema: ok, config: { access: 'user' } }, async () => '')

  await expect(app.ready()).rejects.toThrow(/GET \/a has no operation id.*\n.*GET \/b has the operation id "listThings".*\n.*POST \/d repeats the operation id "thing_get" of GET \/c/)
  await app.close()
})

test('a level that does not exist is none', async () => {
  const app = Fastify()
  await app.register(operations)
  app.get('/a', { schema: ok, config: { access: 'root' as never } }, async () => '')

  await expect(app.ready()).rejects.toThrow('GET /a has no access level')
  await app.close()
})

test('two arguments of one name in a tool stop the start', async () => {
  const app = await buildApp(config)
  const { Type } = await import('@sinclair/typebox')
  app.post('/api/v1/things/:id', {
    schema: { ...ok, params: Type.Object({ id: Type.String({ maxLength: 9 }) }), body: Type.Object({ id: Type.String({ maxLength: 9 }) }), response: { 200: Type.Object({}) } },
    config: { access: 'user' }
  }, async () => ({}))

  await expect(app.ready()).rejects.toThrow('the tool thing_get would have two arguments named "id"')
  await app.close()
})

test('the operations of pages and files are listed, hidden, and named', async () => {
  const app = await buildApp(config)
  await app.ready()

  expect(app.operations.filter(({ url }) => url.startsWith('/docs')).every(({ hidden, access }) => hidden && access === 'public')).toBe(true)
  expect(app.operations.some(({ url }) => url === '/docs/')).toBe(true)
  await app.close()
})
