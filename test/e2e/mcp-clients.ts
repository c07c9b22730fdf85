import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Client as ClientOfTwo, StreamableHTTPClientTransport as TransportOfTwo } from '@modelcontextprotocol/client'
import { Client as ClientOfOne } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportOfOne } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Ajv } from 'ajv'
import { describe, expect } from 'vitest'
import { type ContractTest, fresh, type Target } from '../contract/target.ts'
import { venv } from './venv.ts'

interface Tool { name: string, outputSchema?: object }
interface Result { content: { type: string, text?: string }[], structuredContent?: unknown, isError?: boolean }

/** What all clients can do. A failure of the protocol throws an error with the `code` of JSON-RPC. */
interface Connection {
  revision: string | undefined
  tools: () => Promise<Tool[]>
  call: (name: string, args: Record<string, unknown>) => Promise<Result>
  close: () => Promise<void>
}

/** Somebody else's client. Connecting with a key that is refused throws an error with the `status` of HTTP. */
interface Maker { name: string, revision: RegExp, connect: (url: string, key: string) => Promise<Connection> }

const info = { name: 'muxi-api-e2e', version: '1.0.0' }
const legacy = /^2025-/
const latest = /^2026-07-28$/

const clients: Maker[] = [
  { name: '@modelcontextprotocol/sdk 1', revision: legacy, connect: connectOne },
  { name: '@modelcontextprotocol/client 2, legacy', revision: legacy, connect: async (url, key) => await connectTwo(url, key, 'legacy') },
  { name: '@modelcontextprotocol/client 2, auto', revision: latest, connect: async (url, key) => await connectTwo(url, key, 'auto') },
  { name: '@modelcontextprotocol/client 2, 2026-07-28', revision: latest, connect: async (url, key) => await connectTwo(url, key, { pin: '2026-07-28' }) },
  { name: 'mcp of Python, legacy', revision: legacy, connect: async (url, key) => await connectPython(url, key, 'legacy') },
  { name: 'mcp of Python, auto', revision: latest, connect: async (url, key) => await connectPython(url, key, 'auto') }
]

/** What each client does with a server in front of any Core. */
export function clientCases (test: ContractTest): void {
  describe.each(clients)('$name', ({ connect, revision }) => {
    test('a user lists tools, chats, and is refused what is above the level of the key', async ({ target }) => {
      await using client = await open(connect, target, target.keys.user)
      const tools = await client.tools()
      const answer = await client.call('chat_send', { content: 'Count [fake: tokens=3]', user_id: fresh('alice') })
      const refused = await client.call('agent_list', {})

      expect(client.revision).toMatch(revision)
      expect(namesOf(tools)).toContain('chat_send')
      expect(namesOf(tools)).not.toContain('agent_list')
      expect(answer.isError ?? false).toBe(false)
      expect(answer.structuredContent).toMatchObject({ agent_response: { role: 'assistant', content: 'w1 w2 w3' } })
      expectValid(tools, 'chat_send', answer)
      expect(refused).toMatchObject({ isError: true, content: [{ type: 'text', text: expect.stringContaining('"forbidden"') }] })
    })

    test('an admin sees more tools, and an unknown agent is an error result', async ({ target }) => {
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

    test('a tool that does not exist is error -32602', async ({ target }) => {
      await using client = await open(connect, target, target.keys.user)

      await expect(client.call('no_such_tool', {})).rejects.toMatchObject({ code: -32_602 })
      expect(await client.tools()).not.toEqual([])
    })

    test('a wrong key is HTTP 401', async ({ target }) => {
      await expect(connect(`${target.url}/mcp`, fresh('sk_muxi_user_wrong'))).rejects.toMatchObject({ status: 401 })
    })
  })
}

async function open (connect: Maker['connect'], { url }: Target, key: string): Promise<Connection & AsyncDisposable> {
  const connection = await connect(`${url}/mcp`, key)
  return { ...connection, [Symbol.asyncDispose]: connection.close }
}

const namesOf = (tools: Tool[]): string[] => tools.map(({ name }) => name)

/** The clients check this, too; but not every one of them says so when it does not. */
function expectValid (tools: Tool[], name: string, { structuredContent }: Result): void {
  const { outputSchema } = tools.find((tool) => tool.name === name)!
  const ajv = new Ajv({ strict: false, formats: { 'date-time': true } })

  expect(ajv.validate(outputSchema!, structuredContent), ajv.errorsText()).toBe(true)
}

async function connectOne (url: string, key: string): Promise<Connection> {
  const client = new ClientOfOne(info)
  const transport = new TransportOfOne(new URL(url), { requestInit: { headers: { authorization: `Bearer ${key}` } } })
  await client.connect(transport).catch((error: unknown) => { throw Object.assign(new Error('refused', { cause: error }), { status: (error as { code?: unknown }).code }) })
  return {
    revision: transport.protocolVersion,
    tools: async () => (await client.listTools()).tools,
    call: async (name, args) => await client.callTool({ name, arguments: args }) as Result,
    close: async () => { await client.close() }
  }
}

async function connectTwo (url: string, key: string, mode: 'legacy' | 'auto' | { pin: string }): Promise<Connection> {
  const client = new ClientOfTwo(info, { versionNegotiation: { mode } })
  await client.connect(new TransportOfTwo(new URL(url), { requestInit: { headers: { authorization: `Bearer ${key}` } } }))
  return {
    revision: client.getNegotiatedProtocolVersion(),
    tools: async () => (await client.listTools()).tools,
    call: async (name, args) => await client.callTool({ name, arguments: args }) as Result,
    close: async () => { await client.close() }
  }
}

interface Said { connected?: string, status?: number, failed?: string, tools?: Tool[], result?: Result, error?: { code: number, message: string } }

async function connectPython (url: string, key: string, mode: string): Promise<Connection> {
  const child = spawn(await python(), ['-u', new URL('mcp-client.py', import.meta.url).pathname, url, key, mode], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const hear = async (): Promise<Said> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error('the Python client has ended')
    return JSON.parse(value) as Said
  }
  const ask = async (wish: object): Promise<Said> => {
    child.stdin.write(`${JSON.stringify(wish)}\n`)
    return await hear()
  }
  const first = await hear()
  if (first.connected === undefined) {
    await ended
    throw Object.assign(new Error(first.failed), { status: first.status })
  }
  return {
    revision: first.connected,
    tools: async () => (await ask({ tools: true })).tools ?? [],
    call: async (name, args) => {
      const { result, error, failed } = await ask({ call: name, arguments: args })
      if (result === undefined) throw Object.assign(new Error(error?.message ?? failed), error)
      return result
    },
    close: async () => {
      child.stdin.end()
      const timer = setTimeout(() => { child.kill('SIGKILL') }, 5_000)
      await ended
      clearTimeout(timer)
    }
  }
}

/** A Python with the packages of requirements-mcp.txt. */
export async function python (): Promise<string> {
  return join(await venv('mcp', new URL('requirements-mcp.txt', import.meta.url).pathname), 'python')
}
