import type { FastifyInstance } from 'fastify'
import { describe, expect } from 'vitest'
import { as, test } from '../app.ts'

interface Page { messages: { id: string, agent_id?: string, user_message: { content: string }, agent_response?: { content: string } }[], has_more: boolean, next_before: string | null }

const say = async (app: FastifyInstance, content: string, { user = 'u42', session = 's-1', agent = 'greeter' } = {}) => {
  const res = await app.inject({ method: 'POST', url: `/api/v1/agents/${agent}/chat`, headers: as('user'), payload: { content, user_id: user, session_id: session } })
  return res.json<{ id: string, agent_response: { content: string } }>()
}
const read = async (app: FastifyInstance, url: string, level: 'user' | 'admin' = 'user') => (await app.inject({ url, headers: as(level) })).json<Page>()
const said = ({ messages }: Page) => messages.map(({ user_message: { content } }) => content)

for (const offers of ['all', 'real'] as const) {
  describe(`in front of a Core that offers ${offers}`, () => {
    test.override({ offers })

    test('conversation_list shows what was said, newest first, with the ids of the chat', async ({ app }) => {
      const first = await say(app, 'hello')
      const second = await say(app, 'how are you?', { session: 's-2', agent: 'analyst' })
      await say(app, 'not yours', { user: 'bob' })
      const res = await app.inject({ url: '/api/v1/conversations/u42', headers: as('user') })
      const page = res.json<Page>()

      expect(page).toMatchObject({ user_id: 'u42', has_more: false, next_before: null })
      expect(page.messages.map(({ id }) => id)).toEqual([second.id, first.id])
      expect(page.messages[0]).toMatchObject({ user_id: 'u42', session_id: 's-2', user_message: { role: 'user', content: 'how are you?' }, agent_response: { role: 'assistant', content: second.agent_response.content } })
      expect(page.messages[0]!.agent_id).toBe(offers === 'all' ? 'analyst' : undefined)
      expect(res.headers.link).toBeUndefined()
    })

    test('conversation_list goes back page by page, over sessions', async ({ app }) => {
      for (let i = 0; i < 7; i++) await say(app, `m${i}`, { session: `s-${i % 3}` })
      const pages: string[][] = []
      let link = '?limit=3'
      for (let next = ''; next !== undefined;) {
        const res = await app.inject({ url: `/api/v1/conversations/u42${link}`, headers: as('user') })
        pages.push(said(res.json()))
        next = /<(\?[^>]+)>; rel="next"/.exec(String(res.headers.link))?.[1] as string
        link = next
      }

      expect(pages).toEqual([['m6', 'm5', 'm4'], ['m3', 'm2', 'm1'], ['m0']])
    })

    test('agent_conversation_list names what the agent said, and what nobody is known to have said', async ({ app }) => {
      await say(app, 'to greeter')
      await say(app, 'to analyst', { agent: 'analyst' })
      const page = await read(app, '/api/v1/agents/greeter/conversations?user_id=u42', 'admin')
      const filtered = await read(app, '/api/v1/conversations/u42?agent_id=greeter&session_id=s-1')

      expect(said(page)).toEqual(offers === 'all' ? ['to greeter'] : ['to analyst', 'to greeter'])
      expect(said(filtered)).toEqual(said(page))
      expect(page).not.toHaveProperty('user_id')
    })

    test('agent_conversation_clear forgets one user and nobody else', async ({ app }) => {
      await say(app, 'hello')
      await say(app, 'hello', { user: 'bob' })
      const res = await app.inject({ method: 'DELETE', url: '/api/v1/agents/greeter/conversations?user_id=u42', headers: as('admin') })

      expect(res.json()).toEqual({ status: 'cleared', agent_id: 'greeter', user_id: 'u42', message_count: 2 })
      expect(said(await read(app, '/api/v1/conversations/u42'))).toEqual([])
      expect(said(await read(app, '/api/v1/conversations/bob'))).toEqual(['hello'])
    })
  })
}

test('question and answer are joined by their request, whatever came between; a question may have no answer, an answer without its question is left out', async ({ app, core }) => {
  const message = (role: string, request: string, text: string, timestamp: number) => ({ text, metadata: { role, timestamp, agent_id: 'overlord', request_id: request } })
  const data = (body: object) => JSON.stringify({ success: true, data: body })
  core.fail({ path: '/v1/sessions', status: 200, body: data({ sessions: [{ session_id: 's/1', last_activity: 50 }] }) })
  core.fail({
    path: '/v1/sessions/s%2F1/messages',
    status: 200,
    body: data({
      messages: [
        message('assistant', 'r0', 'lost its question', 10), message('user', 'r1', 'one?', 20), message('user', 'r2', 'two?', 30), message('assistant', 'r1', 'one', 31), message('assistant', 'r1', 'and more', 32), message('system', 'r1', 'x', 33)
      ]
    })
  })
  const page = await read(app, '/api/v1/conversations/u42')
  const beyond = await read(app, '/api/v1/conversations/u42?before=r1')
  const forgotten = await read(app, '/api/v1/conversations/u42?before=msg_long_gone')

  expect(page.messages).toEqual([
    { id: 'r2', user_id: 'u42', session_id: 's/1', user_message: { role: 'user', content: 'two?' }, created_at: '1970-01-01T00:00:30.000Z' },
    { id: 'r1', user_id: 'u42', session_id: 's/1', user_message: { role: 'user', content: 'one?' }, agent_response: { role: 'assistant', content: 'one\n\nand more' }, created_at: '1970-01-01T00:00:20.000Z' }
  ])
  expect([beyond.messages, forgotten.messages]).toEqual([[], []])
})

test('a session that the Core lists and does not find hides no other', async ({ app, core }) => {
  await say(app, 'hello', { session: 's-1' })
  await say(app, 'how are you?', { session: 's-2' })
  core.fail({ path: '/v1/sessions/s-1/messages', status: 404 })

  expect(said(await read(app, '/api/v1/conversations/u42'))).toEqual(['how are you?'])
})

test('only as many sessions are read as the page needs', async ({ app, core }) => {
  for (let i = 0; i < 20; i++) await say(app, `m${i}`, { session: `s-${i}` })
  const page = await read(app, '/api/v1/conversations/u42?limit=2')

  expect(said(page)).toEqual(['m19', 'm18'])
  expect(core.calls.filter(({ path }) => path.endsWith('/messages'))).toHaveLength(8)
})

test('a key that is bound to a user reads that user alone', async ({ app, core }) => {
  core.keys.set('sk_muxi_user_boundtoalice000000000', { scope: 'user', sub: 'alice' } as never)
  const headers = { authorization: 'Bearer sk_muxi_user_boundtoalice000000000' }
  const own = await app.inject({ url: '/api/v1/conversations/alice', headers })
  const others = await app.inject({ url: '/api/v1/conversations/bob', headers })

  expect(own.statusCode).toBe(200)
  expect([others.statusCode, others.json()]).toMatchObject([403, { error: { code: 'forbidden' } }])
})

test.for([
  ['/api/v1/agents/nobody/conversations?user_id=u42', 404], ['/api/v1/agents/greeter/conversations', 400], ['/api/v1/conversations/u42?limit=101', 400],
  ['/api/v1/conversations/u42?offset=1', 400], ['/api/v1/agents/greeter/conversations?user_id=..', 400], ['/api/v1/conversations/a%00b', 400], ['/api/v1/conversations/nobody', 200]
] as const)('%s answers %i', async ([url, status], { app }) => {
  expect((await app.inject({ url, headers: as('admin') })).statusCode).toBe(status)
})
