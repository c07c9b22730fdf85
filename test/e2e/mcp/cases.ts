import { Ajv } from 'ajv'
import { describe, expect } from 'vitest'
import { type ContractTest, fresh, type Target } from '../../contract/target.ts'
import { skipped } from '../processes.ts'
import type { Connection, Maker, Result, Tool } from './connection.ts'

/** What each of these clients does with a server in front of any Core. */
export function clientCases (test: ContractTest, clients: Maker[]): void {
  describe.for(clients.map((maker) => [maker.name, maker] as const))('%s', ([name, { missing, connect, revision, looksFirst }]) => {
    const works = test.skipIf(skipped(missing() && `${name}: ${missing()}`))

    works('a user lists tools, chats, and is refused what is above the level of the key', async ({ target }) => {
      await using client = await open(connect, target, target.keys.user)
      const tools = await client.tools()
      const answer = await client.call('chat_send', { content: 'Count [fake: tokens=3]', user_id: fresh('alice') })
      const refused = await client.call('agent_list', {}).catch((error: unknown) => error)

      expect(client.revision).toMatch(revision)
      expect(namesOf(tools)).toContain('chat_send')
      expect(namesOf(tools)).not.toContain('agent_list')
      expect(answer.isError ?? false).toBe(false)
      expect(answer.structuredContent).toMatchObject({ agent_response: { role: 'assistant', content: 'w1 w2 w3' } })
      expectValid(tools, 'chat_send', answer)
      expect(refused).toMatchObject(looksFirst === true ? { code: 'tool_not_found' } : { isError: true, content: [{ type: 'text', text: expect.stringContaining('"forbidden"') }] })
    })

    works('an admin sees more tools, and an unknown agent is an error result', async ({ target }) => {
      await using client = await open(connect, target, target.keys.admin)
      const tools = await client.tools()
      const list = await client.call('agent_list', {})
      const unknown = await client.call('agent_get', { agent_id: 'nobody' })

      expect(namesOf(tools)).toEqual(expect.arrayContaining(['chat_send', 'agent_chat_send', 'agent_list', 'agent_get']))
      expect(namesOf(tools).includes('agent_create')).toBe(!target.missing.includes('agents.create'))
      expect(list.structuredContent).toMatchObject({ agents: expect.arrayContaining([expect.objectContaining({ id: 'greeter' })]) })
      expectValid(tools, 'agent_list', list)
      expect(unknown).toMatchObject({ isError: true, content: [{ type: 'text', text: expect.stringContaining('no agent nobody') }] })
    })

    works('a tool that does not exist is an error, and the next call works', async ({ target }) => {
      await using client = await open(connect, target, target.keys.user)

      await expect(client.call('no_such_tool', {})).rejects.toMatchObject({ code: looksFirst === true ? 'tool_not_found' : -32_602 })
      expect(await client.tools()).not.toEqual([])
    })

    works('a wrong key is HTTP 401', async ({ target }) => {
      await expect(connect(target.url, fresh('sk_muxi_user_wrong'))).rejects.toMatchObject({ status: 401 })
    })
  })
}

async function open (connect: Maker['connect'], { url }: Target, key: string): Promise<Connection & AsyncDisposable> {
  const connection = await connect(url, key)
  return { ...connection, [Symbol.asyncDispose]: connection.close }
}

const namesOf = (tools: Tool[]): string[] => tools.map(({ name }) => name)

/** The clients check this, too; but not every one of them says so when it does not. */
function expectValid (tools: Tool[], name: string, { structuredContent }: Result): void {
  const { outputSchema } = tools.find((tool) => tool.name === name)!
  const ajv = new Ajv({ strict: false, formats: { 'date-time': true } })

  expect(ajv.validate(outputSchema!, structuredContent), ajv.errorsText()).toBe(true)
}
