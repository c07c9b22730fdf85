import { expect } from 'vitest'
import type { RoutedMessage } from '../../schemas/chat.ts'
import { call, type ContractTest, errorOf, fresh, jsonOf, leaveChat, messagesAtCore, requestAtCore, requestsAtCore, type Target } from './target.ts'

/** Answers in one piece. */
export function chatCases (test: ContractTest): void {
  test('chat_send answers with the message, who said it and to whom', async ({ target }) => {
    const user = fresh('alice')
    const answer = await chat(target, { content: 'Where is the harbour?', user_id: user, session_id: 's-1' })

    expect(answer).toMatchObject({
      id: expect.stringMatching(/^msg_/),
      agent_id: expect.stringMatching(/^(?:greeter|analyst|agent-\d+)$/),
      user_id: user,
      session_id: 's-1',
      user_message: { role: 'user', content: 'Where is the harbour?' },
      agent_response: { role: 'assistant', content: expect.stringContaining('Where is the harbour?') }
    })
    expect(Math.abs(Date.parse(answer.created_at) - Date.now())).toBeLessThan(60_000)
    expect(await requestAtCore(target, answer.id)).toMatchObject({ user_id: user, status: 'completed' })
  })

  test('chat_send gives the whole text of a long answer', async ({ target }) => {
    const { agent_response: said } = await chat(target, { content: 'Count [fake: tokens=200]', user_id: fresh('alice') })

    expect(said.content).toBe(Array.from({ length: 200 }, (_, at) => `w${at + 1}`).join(' '))
  })

  test('a chat without session_id names the session that the Core made, and can go on in it', async ({ target }) => {
    const user = fresh('alice')
    const { session_id: session } = await chat(target, { content: 'My boat is red', user_id: user })
    await chat(target, { content: 'My house is blue', user_id: user, session_id: session })

    expect(session).toMatch(/^sess_/)
    expect((await messagesAtCore(target, user, session!)).join()).toMatch(/My boat is red.*My house is blue/)
  })

  test('sessions of two users are apart, whatever they are called', async ({ target }) => {
    const [one, other] = [fresh('alice'), fresh('bob')]
    await chat(target, { content: 'I am one', user_id: one, session_id: 'same' })
    await chat(target, { content: 'I am other', user_id: other, session_id: 'same' })

    expect((await messagesAtCore(target, one, 'same')).join()).not.toContain('I am other')
    expect((await messagesAtCore(target, other, 'same')).join()).not.toContain('I am one')
  })

  test('a user id that is an e-mail address counts in lower case; any other counts as it is', async ({ target }) => {
    const name = fresh('Bob')
    const mail = await chat(target, { content: 'Hear me', user_id: `${name}@Example.COM`, session_id: 's-mail' })
    const plain = await chat(target, { content: 'Hear me', user_id: name, session_id: 's-plain' })

    expect(mail.user_id).toBe(`${name}@Example.COM`.toLowerCase())
    expect(await messagesAtCore(target, mail.user_id, 's-mail')).toContain('Hear me')
    expect(plain.user_id).toBe(name)
    expect(await messagesAtCore(target, name, 's-plain')).toContain('Hear me')
  })

  test('a user may be named in a header; the body wins', async ({ target }) => {
    const [one, other] = [fresh('alice'), fresh('bob')]
    const headers = { 'x-muxi-user-id': one }
    const byHeader = await jsonOf<RoutedMessage>(await call(target, 'user', '/api/v1/chat', { body: { content: 'hello' }, headers }))
    const byBody = await jsonOf<RoutedMessage>(await call(target, 'user', '/api/v1/chat', { body: { content: 'hello', user_id: other }, headers }))

    expect([byHeader.user_id, byBody.user_id]).toEqual([one, other])
  })

  test.for(['greeter', 'analyst'])('agent_chat_send is answered by the agent that was asked: %s', async (agent, { target }) => {
    const answer = await jsonOf<RoutedMessage>(await call(target, 'user', `/api/v1/agents/${agent}/chat`, { body: { content: 'Who are you?', user_id: fresh('alice') } }))

    expect(answer).toMatchObject({ agent_id: agent, agent_response: { content: expect.stringContaining('Who are you?') } })
    expect(answer).not.toHaveProperty('routing_confidence')
  })

  test('a greeting is answered, and no other agent is named than the one that was asked', async ({ target }) => {
    const answer = await jsonOf<RoutedMessage>(await call(target, 'user', '/api/v1/agents/analyst/chat', { body: { content: 'hello', user_id: fresh('alice') } }))

    expect(answer.agent_response.content).not.toBe('')
    // The real Core answers greetings itself.
    expect([undefined, 'analyst']).toContain(answer.agent_id)
  })

  test.for(['/chat', '/chat/stream'])('an agent that the Core does not know is not_found at %s, and nobody answers in its place', async (path, { target }) => {
    const user = fresh('alice')
    const res = await call(target, 'user', `/api/v1/agents/nobody${path}`, { body: { content: 'Are you there?', user_id: user } })

    expect(res.status).toBe(404)
    expect(await errorOf(res)).toMatchObject({ code: 'not_found', message: 'no agent nobody' })
    expect(await requestsAtCore(target, user)).toEqual([])
  })

  test.for([
    ['body.content', {}], ['body.content', { content: '' }], ['body.session_id', { content: 'x', session_id: '../x' }],
    ['body.user_id', { content: 'x', user_id: 'a\nb' }], ['body.mood', { content: 'x', mood: 'good' }]
  ] as const)('what is wrong with the input is named: %s', async ([field, body], { target }) => {
    const res = await call(target, 'user', '/api/v1/chat', { body })

    expect(res.status).toBe(400)
    expect(await errorOf(res)).toMatchObject({ code: 'bad_request', details: { field } })
  })

  test('an attachment reaches the agent with the message', async ({ target }) => {
    const data = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
    const answer = await chat(target, { content: 'What is on the picture?', user_id: fresh('alice'), attachments: [{ type: 'image/png', name: 'dot.png', data }] })

    // What the real Core tells its model of a file is seen in its event log: real-core.test.ts.
    expect(answer.agent_response.content).toContain(target.real ? 'What is on the picture?' : '(with dot.png)')
  })

  test('chats at the same time, each with an agent of its own, do not mix', async ({ target }) => {
    const users = { greeter: fresh('alice'), analyst: fresh('bob') }
    const answers = await Promise.all(Object.entries(users).map(async ([agent, user]) =>
      await jsonOf<RoutedMessage>(await call(target, 'user', `/api/v1/agents/${agent}/chat`, { body: { content: `I spoke to ${agent}`, user_id: user, session_id: `s-${agent}` } }))))

    expect(answers).toMatchObject(Object.entries(users).map(([agent, user]) =>
      ({ agent_id: agent, user_id: user, session_id: `s-${agent}`, agent_response: { content: expect.stringContaining(`I spoke to ${agent}`) } })))
  })

  test('the first chats of a new user may come at once, though the Core fails all but one of them', async ({ target }) => {
    const user = fresh('alice')
    const answers = await Promise.all(['s-1', 's-2', 's-3'].map(async (session) => await chat(target, { content: 'I am new', user_id: user, session_id: session })))

    expect(answers).toMatchObject(['s-1', 's-2', 's-3'].map((session) => ({ user_id: user, session_id: session, agent_response: { content: expect.stringContaining('I am new') } })))
  })

  test('many chats at the same time each keep their own id, user and session', async ({ target }) => {
    const users = ['red', 'green', 'blue', 'white'].map((colour) => ({ user: fresh(colour), said: `I like ${colour}` }))
    const answers = await Promise.all(users.map(async ({ user, said }) => await chat(target, { content: said, user_id: user, session_id: `s-${user}` })))

    expect(answers).toMatchObject(users.map(({ user, said }) => ({
      user_id: user,
      session_id: `s-${user}`,
      user_message: { content: said },
      // The real Core may answer one of them with the message of another: its agents keep the message at hand in one place.
      agent_response: { content: expect.stringContaining(target.real ? 'I like ' : said) }
    })))
    expect(new Set(answers.map(({ id }) => id)).size).toBe(users.length)
  })

  test('a chat whose client goes away is cancelled at the Core within a second', async ({ target }) => {
    await leaveChat(target, fresh('alice'))
  })
}

async function chat (target: Target, body: object): Promise<RoutedMessage> {
  const res = await call(target, 'user', '/api/v1/chat', { body })
  if (!res.ok) throw new Error(`${res.status} ${await res.text()}`)
  return await jsonOf<RoutedMessage>(res)
}
