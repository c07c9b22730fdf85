import Fastify, { type LightMyRequestResponse } from 'fastify'
import { expect, test as plain } from 'vitest'
import lists from '../../plugins/lists.ts'
import { as, test } from '../app.ts'

const headers = as('admin')

plain('pages are sorted as asked: equals stay in order, what lacks the field comes last, both ways', async () => {
  const app = Fastify()
  await app.register(lists)
  const all = [{ id: 'a', n: 2 }, { id: 'b' }, { id: 'c', n: 10 }, { id: 'd', n: 2 }]
  app.get('/', async (request, reply) => reply.page(all, { limit: 10, offset: 0, ...(request.query as { sort?: string }) }).items.map(({ id }) => id).join(''))

  expect(await Promise.all(['/', '/?sort=n', '/?sort=-n', '/?sort=-id'].map(async (url) => (await app.inject(url)).body))).toEqual(['abcd', 'adcb', 'cadb', 'dcba'])
  await app.close()
})

test('a page links to its neighbours and keeps the other parameters', async ({ app }) => {
  for (const id of ['a', 'b', 'c']) await app.inject({ method: 'POST', url: '/api/v1/agents', headers, payload: { id, description: 'ü', model: { provider: 'p "q"', model: 'm' } } })
  const link = async (query: string) => (await app.inject({ url: `/api/v1/agents?provider=p%20%22q%22&limit=1&${query}`, headers })).headers.link
  const reference = (offset: number, rel: string) => `<?provider=p+%22q%22&limit=1&offset=${offset}>; rel="${rel}"`

  expect(await link('')).toBe(reference(1, 'next'))
  expect(await link('offset=1')).toBe([reference(2, 'next'), reference(0, 'prev'), reference(0, 'first')].join(', '))
  expect(await link('offset=2')).toBe([reference(1, 'prev'), reference(0, 'first')].join(', '))
  expect(await link('offset=900')).toBe([reference(899, 'prev'), reference(0, 'first')].join(', '))
})

test('following next from link to link shows everything once', async ({ app }) => {
  for (let i = 0; i < 7; i++) await app.inject({ method: 'POST', url: '/api/v1/agents', headers, payload: { id: `a${i}`, description: 'x', model: { provider: 'p', model: 'm' } } })
  const seen: string[] = []
  for (let query: string | undefined = '?limit=2&sort=-id'; query !== undefined;) {
    const { body, headers: { link } }: LightMyRequestResponse = await app.inject({ url: `/api/v1/agents${query}`, headers })
    seen.push(...(JSON.parse(body) as { agents: { id: string }[] }).agents.map(({ id }) => id))
    query = /<(\?[^>]+)>; rel="next"/.exec(String(link))?.[1]
  }

  expect(seen).toEqual(['greeter', 'analyst', 'a6', 'a5', 'a4', 'a3', 'a2', 'a1', 'a0'])
})
