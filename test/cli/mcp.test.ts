import { resolve } from 'node:path'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Client as ClientOfTwo } from '@modelcontextprotocol/client'
import { StdioClientTransport as StdioOfTwo } from '@modelcontextprotocol/client/stdio'
import { Client as ClientOfOne } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as StdioOfOne } from '@modelcontextprotocol/sdk/client/stdio.js'
import type { FastifyInstance } from 'fastify'
import { describe, expect } from 'vitest'
import { buildApp } from '../../app.ts'
import { configFor, keys, Lines } from '../app.ts'
import { test as base } from './run.ts'

interface Result { content: { text?: string }[], structuredContent?: unknown, isError?: boolean }
interface Host {
  tools: () => Promise<string[]>
  call: (name: string, args: Record<string, unknown>, options?: { signal?: AbortSignal, onprogress?: () => void }) => Promise<Result>
  revision: () => string | undefined
  stderr: () => string
}
type Connect = (args: string[], key?: string) => Promise<Host>
interface Fixtures { port: number, serve: () => Promise<FastifyInstance>, one: Connect, two: Connect }

const main = resolve('dist/cli/index.js')
const info = { name: 'a-host', version: '1.0.0' }
const commandOf = (args: string[], key: string) => ({ command: process.execPath, args: [main, 'mcp', ...args], env: { MUXI_API_KEY: key }, stderr: 'pipe' as const })

const test = base.extend<Fixtures>({
  port: async ({ freePort }, use) => { await use(await freePort()) },
  serve: async ({ core, port }, use) => {
    const open: FastifyInstance[] = []
    await use(async () => {
      const app = await buildApp(configFor(core), new Lines())
      open.push(app)
      await app.listen({ host: '127.0.0.1', port })
      await app.core.check()
      return app
    })
    for (const app of open) await app.close()
  },
  one: async ({}, use) => {
    const clients: ClientOfOne[] = []
    await use(async (args, key = keys.user) => {
      const transport = new StdioOfOne(commandOf(args, key))
      let stderr = ''
      transport.stderr!.on('data', (chunk: Buffer) => { stderr += chunk.toString() })
      const client = new ClientOfOne(info)
      clients.push(client)
      await client.connect(transport)
      return {
        tools: async () => (await client.listTools()).tools.map(({ name }) => name),
        call: async (name, args, options) => await client.callTool({ name, arguments: args }, undefined, options) as Result,
        revision: () => undefined,
        stderr: () => stderr
      }
    })
    for (const client of clients) await client.close()
  },
  two: async ({}, use) => {
    const clients: ClientOfTwo[] = []
    await use(async (args, key = keys.user) => {
      const transport = new StdioOfTwo(commandOf(args, key))
      let stderr = ''
      transport.stderr!.on('data', (chunk: Buffer) => { stderr += chunk.toString() })
      const client = new ClientOfTwo(info, { versionNegotiation: { mode: 'auto' } })
      clients.push(client)
      await client.connect(transport)
      return {
        tools: async () => (await client.listTools()).tools.map(({ name }) => name),
        call: async (name, args, options) => await client.callTool({ name, arguments: args }, options) as Result,
        revision: () => client.getNegotiatedProtocolVersion(),
        stderr: () => stderr
      }
    })
    for (const client of clients) await client.close()
  }
})

describe.each(['one', 'two'] as const)('a host with client %s', (era) => {
  const hostTest = test.extend<{ connect: Connect, at: string[] }>({
    connect: async ({ one, two }, use) => { await use(era === 'one' ? one : two) },
    at: async ({ port }, use) => { await use(['--url', `http://127.0.0.1:${port}/mcp`, '--retries', '8']) }
  })

  hostTest('lists tools, calls one, and gets the error of another', async ({ serve, connect, at }) => {
    await serve()
    const host = await connect(at)
    const tools = await host.tools()
    const answer = await host.call('chat_send', { content: 'Count [fake: tokens=3]' })
    const refused = await host.call('agent_list', {})

    expect(tools).toContain('chat_send')
    expect(answer).toMatchObject({ structuredContent: { agent_response: { content: 'w1 w2 w3' } } })
    expect(refused).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('"forbidden"') }] })
    await expect(host.call('no_such_tool', {})).rejects.toMatchObject({ code: -32_602 })
    if (era === 'two') expect(host.revision()).toBe('2026-07-28')
    expect(host.stderr()).toBe('')
  })

  hostTest('goes on when the server has been started anew in between, and is told nothing of it', async ({ serve, connect, at }) => {
    const before = await serve()
    const host = await connect(at)
    await host.tools()
    await before.close()
    const pending = host.call('chat_send', { content: 'Count [fake: tokens=2]' })
    await serve()

    expect(await pending).toMatchObject({ structuredContent: { agent_response: { content: 'w1 w2' } } })
    await expect.poll(host.stderr).toContain('connected again')
    expect(host.stderr()).not.toContain(keys.user)
  })

  hostTest('that cancels a call has the Core stop', async ({ serve, connect, at, core }) => {
    await serve()
    const host = await connect(at)
    const over = new AbortController()
    const call = host.call('chat_send', { content: 'Count [fake: tokens=500 delay_ms=50]' }, { signal: over.signal })
    await expect.poll(() => core.requests.size, { timeout: 10_000 }).toBe(1)
    over.abort()

    await expect(call).rejects.toThrow()
    await expect.poll(() => [...core.requests.values()].map(({ status }) => status), { timeout: 10_000 }).toEqual(['cancelled'])
    expect(await host.tools()).toContain('chat_send')
  })

  hostTest('with a wrong key is told what to set', async ({ serve, connect, at }) => {
    await serve()

    await expect(connect(at, 'sk_muxi_user_wrong')).rejects.toThrow(/401 unauthorized.*MUXI_API_KEY/)
  })

  hostTest('of a server that is not there gets an error, and no silence', async ({ connect, port }) => {
    await expect(connect(['--url', `http://127.0.0.1:${port}/mcp`, '--retries', '1'])).rejects.toThrow(/ECONNREFUSED.*start the server/)
  })
})

describe('the command', () => {
  const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: info } }
  const slow = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'chat_send', arguments: { content: 'Count [fake: tokens=30 delay_ms=100]' } } }
  /** Runs it with that on standard input. */
  const fed = async (args: string[], messages: unknown[], { env = { MUXI_API_KEY: keys.user } as Record<string, string>, open = false, when = async (_: () => string) => {}, signal = undefined as NodeJS.Signals | undefined } = {}) => {
    const child = spawn(process.execPath, [main, 'mcp', ...args], { env: { PATH: process.env.PATH ?? '', ...env }, stdio: 'pipe' })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString() })
    child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString() })
    child.stdin.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(''))
    if (!open) child.stdin.end()
    const ended = once(child, 'close')
    await when(() => stdout)
    if (signal !== undefined) child.kill(signal)
    const [code] = await ended as [number | null]
    return { code, stderr, answers: stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line) as { id?: unknown, result?: unknown, error?: { message: string } }) }
  }

  test('answers what was asked before standard input ended', async ({ serve, port }) => {
    await serve()
    const { code, stderr, answers } = await fed(['--url', `http://127.0.0.1:${port}`], [initialize, { jsonrpc: '2.0', method: 'notifications/initialized' }, slow])

    expect(answers.map(({ id }) => id)).toEqual([1, 2])
    expect(answers[1]).toMatchObject({ result: { structuredContent: { agent_response: { content: expect.stringMatching(/w30$/) } } } })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  test('that is told to stop says so to who waits', async ({ serve, port }) => {
    await serve()
    const when = async (stdout: () => string) => { await expect.poll(stdout, { timeout: 10_000 }).toContain('"id":1') }
    const { code, answers } = await fed(['--url', `http://127.0.0.1:${port}/mcp`], [initialize, slow], { open: true, when, signal: 'SIGTERM' })

    expect(answers).toMatchObject([{ id: 1, result: {} }, { id: 2, error: { message: 'cancelled: the bridge was stopped' } }])
    expect(code).toBe(0)
  })

  test('is exit code 1 where the server never answered, with an error for each request', async ({ port }) => {
    const { code, stderr, answers } = await fed(['--url', `http://127.0.0.1:${port}/mcp`, '--retries', '0'], [initialize, slow])

    expect(code).toBe(1)
    expect(answers).toMatchObject([{ id: 1, error: { code: -32_000 } }, { id: 2, error: { code: -32_000 } }])
    expect(stderr).toContain('ECONNREFUSED')
    expect(stderr).not.toContain(keys.user)
  })

  test('used wrongly is exit code 2 and a line', async () => {
    const wrong: [string[], Record<string, string>, string][] = [
      [[], {}, 'set MUXI_API_KEY to a key of the server, in the environment that the host gives this command'],
      [[], { MUXI_API_KEY: 'with blanks' }, 'MUXI_API_KEY must be printable ASCII without blanks'],
      [['--url', 'localhost'], { MUXI_API_KEY: 'x' }, '--url must be an address such as https://muxi.example.com/mcp'],
      [['--url', 'http://a:b@localhost/'], { MUXI_API_KEY: 'x' }, '--url must not hold a name or a password: the key comes from MUXI_API_KEY'],
      [['--header', 'Authorization: x'], { MUXI_API_KEY: 'x' }, '--header must not be Authorization: set MUXI_API_KEY'],
      [['--header', 'Mcp-Session-Id: x'], { MUXI_API_KEY: 'x' }, '--header must not be Mcp-Session-Id: the bridge sets it'],
      [['--header', 'nonsense'], { MUXI_API_KEY: 'x' }, '--header must look like "Name: value"'],
      [['--timeout', '1'], { MUXI_API_KEY: 'x' }, '--timeout must be a whole number from 100 to 3600000'],
      [['--retries', '-1'], { MUXI_API_KEY: 'x' }, expect.stringContaining('--retries')],
      [['--key', 'x'], { MUXI_API_KEY: 'x' }, 'Unknown option \'--key\'']
    ]
    const ends = await Promise.all(wrong.map(async ([args, env]) => await fed(args, [], { env })))

    expect(ends.map(({ code, stderr }) => [code, stderr.split('\n')[0]])).toEqual(wrong.map(([, , text]) => [2, typeof text === 'string' ? `muxi-api: ${text}` : text]))
  })
})
