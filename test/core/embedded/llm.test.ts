import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { startEmbeddedCore } from '../../../core/embedded/index.ts'
import { textOf, tokensOf } from './core.ts'
import { startHttpServer } from './mcp-http.ts'

interface Asked { url: string | undefined, key: string | undefined, body: { model: string, stream: boolean, messages: { role: string, content: string }[], tools: object[] } }
type Script = (res: ServerResponse, round: number, req: IncomingMessage) => void

const chunk = (delta: object, finish: string | null = null) => `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
const whole = (text: string) => chunk({ content: text }) + chunk({}, 'stop') + 'data: [DONE]\n\n'
const toolCall = (name: string, ...pieces: string[]) => chunk({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name, arguments: '' } }] }) +
  pieces.map((piece) => chunk({ tool_calls: [{ index: 0, function: { arguments: piece } }] })).join('') + chunk({}, 'tool_calls') + 'data: [DONE]\n\n'

test('words of the endpoint become content, and the agent and the history go to it', async () => {
  await using bench = await start((res, round) => res.end(chunk({ role: 'assistant', content: '' }) + whole(`answer ${round}`)), { model: 'small' })
  await tokensOf(await bench.chat({ message: 'first', session_id: 's' }))
  const tokens = await tokensOf(await bench.chat({ message: 'second', session_id: 's' }))

  expect(textOf(tokens)).toBe('answer 2')
  expect(tokens.at(-1)).toMatchObject({ type: 'completed', status: 'success', content: 'answer 2' })
  expect(bench.asked[1]).toMatchObject({ url: '/v1/chat/completions', key: 'Bearer k', body: { model: 'small', stream: true, tools: [{ function: { name: 'calculator' } }] } })
  expect(bench.asked[1]?.body.messages).toEqual([
    { role: 'system', content: 'You are Greeter.' }, { role: 'user', content: 'first' }, { role: 'assistant', content: 'answer 1' }, { role: 'user', content: 'second' }
  ])
})

test('an address that ends in /v1/ is taken as it is', async () => {
  await using bench = await start((res) => res.end(whole('x')), { path: '/openai/v1/' })
  await tokensOf(await bench.chat({ message: 'x' }))

  expect(bench.asked[0]?.url).toBe('/openai/v1/chat/completions')
})

test('a tool call is run here and its result fed back', async () => {
  await using bench = await start((res, round) => res.end(round === 1 ? toolCall('calculator', '{"expres', 'sion":"6*7"}') : whole('It is 42.')))
  const tokens = await tokensOf(await bench.chat({ message: 'six times seven' }))

  expect(tokens.filter(({ tool_call: call }) => call).map(({ type, tool_call: call }) => [type, call])).toEqual([
    ['tool_call_start', { id: 'call_1', name: 'calculator', parameters: { expression: '6*7' } }],
    ['tool_call_end', { id: 'call_1', output: { result: 42 } }]
  ])
  expect(bench.asked[1]?.body.messages.slice(-2)).toMatchObject([{ role: 'assistant', tool_calls: [{ id: 'call_1' }] }, { role: 'tool', tool_call_id: 'call_1', content: '{"result":42}' }])
  expect(textOf(tokens)).toBe('It is 42.')
})

test('a tool that does not exist or gets nonsense fails, and the model hears of it', async () => {
  await using bench = await start((res, round) => res.end([toolCall('shell', '{}'), toolCall('calculator', '{"expr'), whole('Sorry.')][round - 1]))
  const tokens = await tokensOf(await bench.chat({ message: 'x' }))

  expect(tokens.filter(({ type }) => type === 'tool_call_end').map(({ tool_call: call }) => call)).toMatchObject([
    { error: { code: 'unknown_tool' } }, { error: { code: 'invalid_parameters' } }
  ])
  expect(textOf(tokens)).toBe('Sorry.')
})

test('a model that calls tools for ever is stopped after five rounds', async () => {
  await using bench = await start((res) => res.end(toolCall('calculator', '{"expression":"1+1"}')))
  const tokens = await tokensOf(await bench.chat({ message: 'x' }))

  expect(bench.asked).toHaveLength(5)
  expect(tokens.at(-1)).toMatchObject({ type: 'completed', status: 'error' })
})

test.each<[string, Script]>([
  ['answers 500', (res) => res.writeHead(500).end('{"error":"no"}')],
  ['is not there', (res) => res.destroy()],
  ['answers something else', (res) => res.end('<html></html>')]
])('an endpoint that %s becomes an apology', async (_, script) => {
  await using bench = await start(script)
  const tokens = await tokensOf(await bench.chat({ message: 'x' }))

  expect(tokens.at(-1)).toMatchObject({ type: 'completed', status: 'error', content: expect.stringContaining('apologize') })
  expect(JSON.stringify(tokens)).not.toContain('127.0.0.1')
})

test('an endpoint that breaks half-way is asked again, and the whole text counts', async () => {
  await using bench = await start((res, round) => {
    if (round > 1) return res.end(whole('all of it'))
    res.write(chunk({ content: 'all' }))
    setTimeout(() => res.destroy(), 20)
  })
  const tokens = await tokensOf(await bench.chat({ message: 'x' }))

  expect(textOf(tokens)).toBe('all')
  expect(tokens.at(-1)).toMatchObject({ content: 'all of it', stream_discontinuity: true, status: 'success' })
})

test('a client that leaves ends the call of the endpoint', async () => {
  let isOver = false
  await using bench = await start((res) => {
    res.on('close', () => { isOver = true })
    res.write(chunk({ content: 'a' }))
  })
  const leaving = new AbortController()
  const res = await bench.chat({ message: 'x' }, leaving.signal)
  const reader = res.body?.getReader()
  for (let text = ''; !text.includes('"content":"a"');) text += new TextDecoder().decode((await reader?.read())?.value)
  leaving.abort()

  await expect.poll(() => isOver).toBe(true)
})

test('the tools of the agent are offered as functions and called, and what it knows goes along', async () => {
  await using server = await startHttpServer()
  await using bench = await start((res, round) => res.end(round === 1 ? toolCall('add', '{"a":1,', '"b":2}') : whole('It is 3.')))
  await bench.manage('mcp/servers', { name: 'sums', url: server.url })
  await bench.manage('knowledge', { id: 'harbour', source_type: 'content', content: 'The ferry leaves from quay three.' })
  const tokens = await tokensOf(await bench.chat({ message: 'Where does the ferry leave?', agent_id: 'greeter' }))

  expect(bench.asked[0]?.body.tools).toMatchObject([
    { function: { name: 'calculator' } }, { type: 'function', function: { name: 'add', description: 'Adds two numbers', parameters: { type: 'object' } } }, {}, {}
  ])
  expect(bench.asked[0]?.body.messages[0]).toEqual({ role: 'system', content: 'You are Greeter.\n\nFrom harbour:\nThe ferry leaves from quay three.' })
  expect(bench.asked[1]?.body.messages.at(-1)).toMatchObject({ role: 'tool', content: '"3"' })
  expect(tokens.filter(({ type }) => String(type).startsWith('tool_call')).map(({ tool_call: call }) => call)).toMatchObject([{ name: 'add', parameters: { a: 1, b: 2 } }, { output: '3' }])
})

/** A Core with an endpoint that answers from a script. */
async function start (script: Script, { path = '', model }: { path?: string, model?: string } = {}) {
  const asked: Asked[] = []
  const server = createServer((req, res) => {
    let text = ''
    req.on('data', (part) => { text += part })
    req.on('end', () => {
      asked.push({ url: req.url, key: req.headers.authorization, body: JSON.parse(text) as Asked['body'] })
      script(res, asked.length, req)
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo // it listens on a port, not on a pipe
  const core = await startEmbeddedCore({ llm: { url: `http://127.0.0.1:${port}${path}`, key: 'k', model } })
  const headers = { 'x-muxi-client-key': core.userKey, 'x-muxi-user-id': 'alice' }
  return {
    asked,
    chat: async (body: object, signal?: AbortSignal) => await fetch(`${core.url}/v1/chat`, { method: 'POST', headers, signal, body: JSON.stringify(body) }),
    manage: async (path: string, body: object) =>
      await fetch(`${core.url}/v1/agents/greeter/${path}`, { method: 'POST', headers: { 'x-muxi-admin-key': core.adminKey }, body: JSON.stringify(body) }),
    [Symbol.asyncDispose]: async () => {
      await core.close()
      server.closeAllConnections()
      server.close()
    }
  }
}
