import { expect } from 'vitest'
import { connect, textIn, toolsFor } from './client.ts'
import { chatBegun, chatCancelled, type ContractTest, fresh } from './target.ts'

/** The same operations as tools. */
export function toolCases (test: ContractTest): void {
  test('tools/list shows a user the tools of users', async ({ target }) => {
    const names = await toolsFor(target, 'user')

    expect(names).toEqual(expect.arrayContaining(['agent_chat_send', 'chat_send', 'conversation_list']))
    expect(names.filter((name) => /^(?:agent_(?!chat)|knowledge|mcp_server|system|audit|key|user)_?/.test(name))).toEqual(['user_token_create'])
  })

  test('agent_list and agent_get answer as the operations do', async ({ target }) => {
    await using client = await connect(target, 'admin')
    const list = await client.callTool({ name: 'agent_list', arguments: { limit: 1, sort: 'created_at' } })
    const one = await client.callTool({ name: 'agent_get', arguments: { agent_id: 'greeter' } })
    const direct: unknown = await (await fetch(`${target.url}/api/v1/agents/greeter`, { headers: { authorization: `Bearer ${target.keys.admin}` } })).json()

    expect(list.structuredContent).toMatchObject({ agents: [{ id: 'greeter' }], pagination: { limit: 1 } })
    expect(one.structuredContent).toEqual(direct)
    expect(JSON.parse(textIn(one))).toEqual(direct)
  })

  test('chat_send and agent_chat_send answer as the operations do', async ({ target }) => {
    await using client = await connect(target, 'user')
    const user = fresh('alice')
    const any = await client.callTool({ name: 'chat_send', arguments: { content: 'Where is the harbour?', user_id: user } })
    const one = await client.callTool({ name: 'agent_chat_send', arguments: { agent_id: 'analyst', content: 'Count [fake: tokens=4]', user_id: user } })

    expect(any.structuredContent).toMatchObject({ user_id: user, agent_response: { content: expect.stringContaining('Where is the harbour?') } })
    expect(one.structuredContent).toMatchObject({ agent_id: 'analyst', agent_response: { content: 'w1 w2 w3 w4' } })
  })

  test('a failed call is an error result with the body of the failure', async ({ target }) => {
    await using client = await connect(target, 'admin')
    const unknown = await client.callTool({ name: 'agent_get', arguments: { agent_id: 'nobody' } })
    const invalid = await client.callTool({ name: 'chat_send', arguments: { content: '' } })

    expect(unknown.isError).toBe(true)
    expect(JSON.parse(textIn(unknown))).toMatchObject({ error: { code: 'not_found', message: 'no agent nobody' } })
    expect(invalid.isError).toBe(true)
    expect(JSON.parse(textIn(invalid))).toMatchObject({ error: { code: 'bad_request', details: { field: 'body.content' } } })
  })

  test('a tool above the level of the key is refused', async ({ target }) => {
    await using client = await connect(target, 'user')
    const refused = await client.callTool({ name: 'agent_list', arguments: {} })

    expect(refused.isError).toBe(true)
    expect(JSON.parse(textIn(refused))).toMatchObject({ error: { code: 'forbidden' } })
  })

  test('a call whose client goes away is cancelled at the Core within a second', async ({ target }) => {
    await using client = await connect(target, 'user')
    const user = fresh('alice')
    const leaving = new AbortController()
    const answer = client.callTool({ name: 'chat_send', arguments: { content: 'Count [fake: tokens=400 delay_ms=50]', user_id: user } }, { signal: leaving.signal })
    const refused = expect(answer).rejects.toThrow()
    await chatBegun(target, user)
    leaving.abort()

    await refused
    await chatCancelled(target, user)
  })
}
