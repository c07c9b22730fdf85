import { expect } from 'vitest'
import type { ConversationEntry } from '../../schemas/conversations.ts'
import type { RoutedMessage } from '../../schemas/chat.ts'
import { asTool } from './client.ts'
import { atCore, call, type ContractTest, errorOf, fresh, jsonOf, knownAtCore, leaveChat, type Target } from './target.ts'

interface Page { user_id?: string, messages: ConversationEntry[], has_more: boolean, next_before: string | null }
interface History { user: string, other: string, chats: RoutedMessage[] }

const script = [['one', 's-1', 'greeter'], ['two', 's-2', 'analyst'], ['three', 's-1', 'greeter'], ['four', 's-2', 'greeter'], ['five', 's-1', 'analyst']] as const
const histories = new WeakMap<Target, Promise<History>>()

/** What was said, by user and by agent. */
export function conversationCases (test: ContractTest): void {
  test('conversation_list shows what was said, newest first, with the ids of the chats', async ({ target }) => {
    const { user, chats } = await history(target)
    const page = await read(target, `/conversations/${user}`)

    expect(page).toMatchObject({ user_id: user, has_more: false, next_before: null })
    expect(page.messages).toMatchObject(chats.toReversed().map(({ id, session_id, user_message, agent_response }) =>
      ({ id, user_id: user, session_id, user_message, agent_response, created_at: expect.stringMatching(/Z$/) })))
  })

  test('conversation_list goes back page by page over sessions, though the Core ignores `before`', async ({ target }) => {
    const { user } = await history(target)
    const pages: Page[] = []
    for (let before: string | null | undefined; before !== null; before = pages.at(-1)!.next_before) {
      pages.push(await read(target, `/conversations/${user}?limit=2${before === undefined ? '' : `&before=${before}`}`))
    }

    expect(pages.map(said)).toEqual([['five', 'four'], ['three', 'two'], ['one']])
    expect(pages.map(({ has_more: more }) => more)).toEqual([true, true, false])
  })

  test('what is before an entry that the Core has forgotten is forgotten, too', async ({ target }) => {
    const { user } = await history(target)

    expect(await read(target, `/conversations/${user}?before=msg_long_gone`)).toMatchObject({ messages: [], has_more: false })
  })

  test('conversation_list keeps to one session, and to one agent where the Core tells who answered', async ({ target }) => {
    const { user } = await history(target)
    const session = await read(target, `/conversations/${user}?session_id=s-2`)
    const agent = await read(target, `/conversations/${user}?agent_id=greeter`)

    expect(said(session)).toEqual(['four', 'two'])
    expectAgent(agent, 'greeter', ['four', 'three', 'one'])
  })

  test('agent_conversation_list shows one user and one agent, page by page', async ({ target }) => {
    const { user } = await history(target)
    const path = `/agents/analyst/conversations?user_id=${user}`
    const whole = await read(target, path)
    const first = await read(target, `${path}&limit=1`)
    const rest = await read(target, `${path}&before=${String(first.next_before)}`)

    expectAgent(whole, 'analyst', ['five', 'two'])
    expect(first).toMatchObject({ messages: [{ user_message: { content: 'five' } }], has_more: true })
    expect([...said(first), ...said(rest)]).toEqual(said(whole))
    expect(whole).not.toHaveProperty('user_id')
  })

  test('what users said to each other\'s agents stays apart', async ({ target }) => {
    const { other } = await history(target)

    expect(said(await read(target, `/conversations/${other}`))).toEqual(['not yours'])
    expect(said(await read(target, `/agents/greeter/conversations?user_id=${other}`))).toEqual(['not yours'])
  })

  test('a user whom nobody knows has said nothing, and is not known for having been asked for', async ({ target }) => {
    const user = fresh('nobody')

    expect(await read(target, `/conversations/${user}`)).toEqual({ user_id: user, messages: [], has_more: false, next_before: null })
    expect(await knownAtCore(target, user)).toBe(false)
  })

  test('a session that another client named with a slash does not hide the others', async ({ target }) => {
    const user = fresh('alice')
    for (const session of ['s/1', 's-1']) {
      await atCore(target, user, 'POST', '/chat', { message: `in ${session}`, stream: false, session_id: session })
    }

    expect(said(await read(target, `/conversations/${user}`))).toContain('in s-1')
  })

  test('a question whose answer was broken off is shown without one', async ({ target }) => {
    const user = fresh('alice')
    await leaveChat(target, user)
    const { messages } = await read(target, `/conversations/${user}`)

    expect(messages).toMatchObject([{ user_message: { content: expect.stringContaining('Count') } }])
    expect(messages[0]).not.toHaveProperty('agent_response')
  })

  test('agent_conversation_clear forgets one user and nobody else; an e-mail address counts in lower case', async ({ target }) => {
    const { user } = await history(target)
    const mail = `${fresh('Bob')}@Example.COM`
    for (const session of ['s-1', 's-2']) await chat(target, mail, ['to be forgotten', session, 'greeter'])
    const before = said(await read(target, `/conversations/${mail.toLowerCase()}`))
    const res = await call(target, 'admin', `/api/v1/agents/greeter/conversations?user_id=${mail}`, { method: 'DELETE' })

    expect(before).toHaveLength(2)
    expect(await jsonOf(res)).toEqual({ status: 'cleared', agent_id: 'greeter', user_id: mail.toLowerCase(), message_count: 4 })
    expect(said(await read(target, `/conversations/${mail}`))).toEqual([])
    expect(said(await read(target, `/conversations/${user}`))).toHaveLength(script.length)
  })

  test('conversations are the same as tools', async ({ target }) => {
    const { user } = await history(target)

    expect(await asTool(target, 'user', 'conversation_list', { user_id: user, limit: 2 })).toEqual(await read(target, `/conversations/${user}?limit=2`))
    expect(await asTool(target, 'admin', 'agent_conversation_list', { agent_id: 'greeter', user_id: user })).toEqual(await read(target, `/agents/greeter/conversations?user_id=${user}`))
    expect(await asTool(target, 'admin', 'agent_conversation_clear', { agent_id: 'greeter', user_id: fresh('nobody') })).toMatchObject({ status: 'cleared', message_count: 0 })
  })

  test.for([
    ['querystring.limit', '/conversations/alice?limit=101'], ['querystring.offset', '/conversations/alice?offset=1'], ['params.user_id', '/conversations/a%00b'],
    ['querystring.user_id', '/agents/greeter/conversations'], ['querystring.user_id', '/agents/greeter/conversations?user_id=..']
  ] as const)('what is wrong with the input is named: %s of %s', async ([field, path], { target }) => {
    const res = await call(target, 'admin', `/api/v1${path}`)

    expect(res.status).toBe(400)
    expect(await errorOf(res)).toMatchObject({ code: 'bad_request', details: { field } })
  })
}

/** A conversation that many cases read and none changes. */
async function history (target: Target): Promise<History> {
  const begun = histories.get(target) ?? (async () => {
    const [user, other] = [fresh('alice'), fresh('bob')]
    const chats: RoutedMessage[] = []
    for (const line of script) chats.push(await chat(target, user, line))
    await chat(target, other, ['not yours', 's-1', 'greeter'])
    return { user, other, chats }
  })()
  histories.set(target, begun)
  return await begun
}

async function chat (target: Target, user: string, [content, session, agent]: readonly [string, string, string]): Promise<RoutedMessage> {
  return await jsonOf<RoutedMessage>(await call(target, 'user', `/api/v1/agents/${agent}/chat`, { body: { content, user_id: user, session_id: session } }))
}

async function read (target: Target, path: string): Promise<Page> {
  return await jsonOf<Page>(await call(target, 'admin', `/api/v1${path}`))
}

const said = ({ messages }: Page): string[] => messages.map(({ user_message: { content } }) => content)

/** All that the agent said, and of what others said only where the Core does not tell by whom. */
function expectAgent (page: Page, agent: string, all: string[]): void {
  expect(said(page)).toEqual(expect.arrayContaining(all))
  expect(page.messages.filter(({ agent_id: by }) => by !== undefined && by !== agent)).toEqual([])
}
