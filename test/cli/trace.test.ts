import { execFile } from 'node:child_process'
import { appendFileSync, copyFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { describe, expect } from 'vitest'
import { askedIn, type Told } from '../../cli/trace/asked.ts'
import { ofFile } from '../../cli/trace/kept.ts'
import { lineOf } from '../../cli/trace/lines.ts'
import { as, keys } from '../app.ts'
import { listening } from '../core/client.ts'
import { test as base, type Run } from './run.ts'

const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
const span = { timestamp: '2026-03-02T09:30:45.120Z', traceId: trace, spanId: '00f067aa0ba902b7', name: 'core.call', duration: 45.04, status: 'ok', service: 'muxi-api', component: 'core', operation: 'call', message: 'GET /agents' }
const failed = { ...span, timestamp: '2026-03-02T09:30:46.000Z', traceId: 'ab'.repeat(16), component: 'agent', operation: 'tool_call', status: 'error', message: 'calculator' }
const line = { level: 'info', timestamp: '2026-03-02T09:30:45.500Z', service: 'muxi-api', version: '0.1.0', requestId: 'req_1', traceId: trace, operationId: 'agent_list', method: 'GET', path: '/api/v1/agents', statusCode: 200, durationMs: 3.21, message: 'request' }
const warning = { level: 'warn', timestamp: '2026-03-02T09:30:47.000Z', service: 'muxi-api', message: 'slow' }
const file = [span, line, failed, warning].map((event) => `${JSON.stringify(event)}\n`).join('')

const shownSpan = '2026-03-02T09:30:45.120Z  TRACE  4bf92f35  core.call                          45 ms  GET /agents'
const shownLine = '2026-03-02T09:30:45.500Z  INFO   4bf92f35  muxi-api.agent_list               3.2 ms  request GET /api/v1/agents 200'
const shownFailed = '2026-03-02T09:30:46.000Z  ERROR  abababab  agent.tool_call                    45 ms  calculator'
const shownWarning = '2026-03-02T09:30:47.000Z  WARN   -         muxi-api                                  slow'

type Turn = (res: ServerResponse) => void
interface Wire { url: string, calls: { url: string, headers: IncomingHttpHeaders }[] }
interface Fixtures {
  /** A server that answers call after call as it is told, the last answer for all that follow. */
  wire: (...turns: Turn[]) => Promise<Wire>
  /** A real one, and the environment that the command has in common with it. */
  server: { url: string, env: Record<string, string> }
}

const test = base.extend<Fixtures>({
  wire: async ({}, use) => {
    const open: ReturnType<typeof createServer>[] = []
    await use(async (...turns) => {
      const calls: Wire['calls'] = []
      const server = createServer(({ url = '', headers }, res) => {
        calls.push({ url, headers })
        turns[Math.min(calls.length, turns.length) - 1]!(res)
      })
      open.push(server)
      return { url: await listening(server), calls }
    })
    for (const server of open) {
      server.close()
      server.closeAllConnections()
    }
  },
  server: async ({ core, run, freePort }, use) => {
    const env = { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_API_PORT: String(await freePort()) }
    await use({ url: await run(['start'], env).url(), env })
  }
})

const stream = (text: string, then: (res: ServerResponse) => void = () => {}): Turn => (res) => {
  res.writeHead(200, { 'content-type': 'text/event-stream' }).write(`retry: 20\n\n${text}`, () => { then(res) })
}
const cut = (res: ServerResponse) => { res.destroy() }
const frame = (id: string, event: object, name = 'trace') => `event: ${name}\nid: ${id}\ndata: ${JSON.stringify(event)}\n\n`
const refuse = (status: number, code: string): Turn => (res) => { res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { code, message: 'no', request_id: 'req_1' } })) }

const linesOf = ({ stdout }: { stdout: string }) => stdout.split('\n').filter(Boolean)
const shows = async (one: Run, text: string) => { await expect.poll(() => one.stdout, { timeout: 20_000, interval: 20 }).toContain(text) }

describe('of a server', () => {
  test('it lists the newest spans, the oldest of them first, with the key of the settings', async ({ run, server: { url, env } }) => {
    for (const agent of ['one', 'two', 'three']) await fetch(`${url}/api/v1/agents/${agent}`, { headers: as('admin') })
    const all = await run(['trace', '--component', 'http'], env).end()
    const two = await run(['trace', '--component', 'http', '--operation', 'agent_get', '--limit', '2', '--output', 'json'], env).end()

    expect(all).toMatchObject({ code: 0, stderr: '' })
    expect(linesOf(all).map((text) => text.replace(/^\S{24} {2}(?:TRACE|ERROR) {2}[0-9a-f]{8} {2}(\S+) +[\d.]+ ms {2}GET (\S+).*$/, '$1 $2'))).toEqual(['one', 'two', 'three'].map((agent) => `http.agent_get /api/v1/agents/${agent}`))
    expect(linesOf(two).map((text) => (JSON.parse(text) as { id: string, message: string }))).toMatchObject([{ id: expect.any(String), message: expect.stringContaining('two') }, { message: expect.stringContaining('three') }])
  })

  test('it follows the log and what is kept of it, until Ctrl-C, which is no failure', async ({ run, server: { url, env } }) => {
    const kept = await run(['trace', '--logs'], env).end()
    const following = run(['trace', '--logs', '-f', '--from', '1h', '--host', url.slice('http://'.length)], { MUXI_API_TRACE_KEY: keys.admin })
    await shows(following, 'listening on')
    await fetch(`${url}/api/v1/agents`, { headers: as('admin') })
    await shows(following, 'muxi-api.agent_list')

    expect(kept).toMatchObject({ code: 0, stdout: expect.stringContaining('listening on') })
    expect(await following.end('SIGINT')).toMatchObject({ code: 0, signal: null, stderr: '' })
  })

  test('it says that nothing fits', async ({ run, server: { env } }) => {
    expect(await run(['trace', '--trace-id', 'ffffffff'], env).end()).toMatchObject({ code: 0, stdout: '', stderr: 'muxi-api: nothing that is kept fits\n' })
  })

  test('what is not there is one line with the address', async ({ run, freePort }) => {
    const port = await freePort()
    const ends = await Promise.all([run(['trace', '--port', String(port)]).end(), run(['trace', '-f', '--host', `127.0.0.1:${port}`]).end()])

    for (const end of ends) expect(end).toMatchObject({ code: 1, stdout: '', stderr: `muxi-api: no answer from http://127.0.0.1:${port} (ECONNREFUSED): start the server, or name another with --host\n` })
  })

  test('a key that is refused ends it with the remedy, and is not shown', async ({ run, server: { url } }) => {
    const ends = await Promise.all([run(['trace', '--host', url, '--key', 'sk_muxi_hidden']).end(), run(['trace', '-f', '--host', url], { MUXI_API_TRACE_KEY: keys.user }).end()])

    expect(ends.map(({ code, stderr }) => [code, stderr])).toEqual([
      [1, `muxi-api: ${url} answered 401 unauthorized: give an admin key as MUXI_API_TRACE_KEY (or --key)\n`],
      [1, `muxi-api: ${url} answered 403 forbidden: give an admin key as MUXI_API_TRACE_KEY (or --key)\n`]
    ])
  })

  test('the key of the settings goes to no other address', async ({ run, wire }) => {
    const { url, calls } = await wire(refuse(401, 'unauthorized'))
    await run(['trace', '--host', url], { MUXI_CORE_ADMIN_KEY: keys.admin }).end()

    expect(calls.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })
})

describe('a stream', () => {
  test('that breaks off is taken up behind the last event, and both are said', async ({ run, wire }) => {
    const { url, calls } = await wire(stream('id: e.0.-\n\n', cut), stream(frame('e.1.a', span), cut), stream(frame('e.2.b', failed)))
    const following = run(['trace', '-f', '--host', url, '--component', 'core', '--level', 'info', '--trace-id', '4BF92F35'])
    await shows(following, 'calculator')

    expect(linesOf(following)).toEqual([shownSpan, shownFailed])
    expect(calls.map(({ url, headers }) => [url, headers['last-event-id']])).toEqual([undefined, 'e.0.-', 'e.1.a'].map((id) => ['/api/v1/traces/stream?component=core&traceId=4bf92f35&level=info', id]))
    expect(following.stderr).toMatch(/^(?:muxi-api: connection lost \(\w+\), coming back in 0\.\d s\nmuxi-api: connected again\n){2}$/)
  })

  test('that the server ends is taken up again; what is missing is said', async ({ run, wire }) => {
    const { url } = await wire(
      stream(`${frame('e.1.a', span)}${frame('e.38.b', { reason: 'slow', from: 'e.1.a', to: 'e.38.b', count: 37 }, 'gap')}event: end\ndata: {"reason":"shutdown"}\n\n`),
      refuse(503, 'state_unavailable'),
      stream(`${frame('f.1.c', { reason: 'epoch' }, 'gap')}${frame('f.2.c', failed)}`))
    const following = run(['trace', '-f', '--host', url, '--output', 'json'])
    await shows(following, 'calculator')

    expect(linesOf(following).map((text) => JSON.parse(text) as object)).toEqual([{ id: 'e.1.a', ...span }, { id: 'f.2.c', ...failed }])
    expect(following.stderr.replaceAll(/\d\.\d s/g, '… s').split('\n')).toEqual([
      'muxi-api: 37 events left out: slow',
      'muxi-api: the server ended the stream (shutdown), coming back in … s',
      `muxi-api: ${url} answered 503 state_unavailable: no, coming back in … s`,
      'muxi-api: connected again',
      'muxi-api: events left out: epoch',
      ''
    ])
  })

  test('that the key is good for no more ends it', async ({ run, wire }) => {
    const [revoked, refused] = [await wire(stream('event: end\ndata: {"reason":"unauthorized"}\n\n')), await wire(stream('', cut), refuse(401, 'unauthorized'))]
    const ends = await Promise.all([revoked, refused].map(async ({ url }) => await run(['trace', '-f', '--host', url]).end()))

    expect(ends.map(({ code }) => code)).toEqual([1, 1])
    expect(ends[0]!.stderr).toBe(`muxi-api: ${revoked.url} ended the stream (unauthorized): give an admin key as MUXI_API_TRACE_KEY (or --key)\n`)
    expect(ends[1]!.stderr).toContain('answered 401 unauthorized: give an admin key')
  })

  test('ends by itself after --limit lines, whatever way its bytes are cut', async ({ run, wire }) => {
    const text = Buffer.from(frame('e.1.a', { ...span, message: 'Zürich' }) + frame('e.2.b', failed) + frame('e.3.c', span))
    const { url } = await wire((res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const byte of text) res.write(Buffer.from([byte]))
    })
    const end = await run(['trace', '-f', '--limit', '2', '--host', url]).end()

    expect(end).toMatchObject({ code: 0, stderr: '' })
    expect(linesOf(end)).toEqual([shownSpan.replace('GET /agents', 'Zürich'), shownFailed])
  })
})

describe('of a file', () => {
  test('it is read as it stands, without the settings', async ({ run, folder }) => {
    writeFileSync(join(folder, 'trace.log'), file)
    const end = await run(['trace', '--file', 'trace.log', '--trace-id', '4BF92F35'], { MUXI_API_PORT: 'nonsense' }).end()

    expect(end).toEqual({ code: 0, signal: null, stdout: `${shownSpan}\n${shownLine}\n`, stderr: '' })
  })

  test.for<[Record<string, string | boolean>, string[]]>([
    [{}, [shownSpan, shownLine, shownFailed, shownWarning]],
    [{ 'trace-id': trace }, [shownSpan, shownLine]],
    [{ component: 'agent' }, [shownFailed]],
    [{ operation: 'agent_list' }, [shownLine]],
    [{ component: 'core', operation: 'call' }, [shownSpan]],
    [{ level: 'error' }, [shownFailed]],
    [{ level: 'debug' }, [shownSpan, shownLine, shownFailed, shownWarning]],
    [{ level: 'warn', logs: true }, [shownWarning]],
    [{ logs: true }, [shownLine, shownWarning]],
    [{ from: '2026-03-02T09:30:46Z' }, [shownFailed, shownWarning]],
    [{ from: '2026-03-02T11:30:46.001+02:00' }, [shownWarning]],
    [{ from: '60s' }, [shownFailed, shownWarning]],
    [{ limit: '1' }, [shownWarning]]
  ])('%j chooses', async ([flags, expected], { folder }) => {
    writeFileSync(join(folder, 'trace.log'), file)
    const chosen: string[] = []
    for await (const told of ofFile(join(folder, 'trace.log'), askedIn(flags, Date.parse('2026-03-02T09:31:46Z')), () => {})) chosen.push(lineOf(told as Told, false))

    expect(chosen).toEqual(expected)
  })

  test('lines that are no JSON pass where nothing is filtered; what drives a terminal is spelled out', async ({ run, folder }) => {
    writeFileSync(join(folder, 'trace.log'), `[2026-03-02] | INFO     | - | core:call - hello\n\u001b[31mred\n${JSON.stringify({ ...span, message: 'a\u001b]0;b\nc' })}`)
    const [all, some] = await Promise.all([run(['trace', '--file', 'trace.log']).end(), run(['trace', '--file', 'trace.log', '--component', 'core']).end()])

    expect(linesOf(all)).toEqual(['[2026-03-02] | INFO     | - | core:call - hello', '\\x1b[31mred', shownSpan.replace('GET /agents', 'a\\x1b]0;b\\nc')])
    expect(some).toMatchObject({ code: 0, stderr: 'muxi-api: lines that are no JSON are left out: filters need their fields\n' })
    expect(linesOf(some)).toHaveLength(1)
  })

  test('what is packed is unpacked', async ({ run, folder }) => {
    writeFileSync(join(folder, 'trace.log.1.gz'), gzipSync(file))

    expect(linesOf(await run(['trace', '--file', 'trace.log.1.gz', '--level', 'error']).end())).toEqual([shownFailed])
  })

  test('failures are red, warnings yellow, where the environment wants colours', async ({ run, folder }) => {
    writeFileSync(join(folder, 'trace.log'), file)
    const [plain, colourful] = await Promise.all(([{}, { FORCE_COLOR: '1' }] as Record<string, string>[]).map(async (env) => linesOf(await run(['trace', '--file', 'trace.log'], env).end())))

    expect(plain!.join('')).not.toContain('\u001b')
    expect(colourful).toEqual([shownSpan, shownLine, `\u001b[31m${shownFailed}\u001b[0m`, `\u001b[33m${shownWarning}\u001b[0m`])
  })

  test('it is followed from its end on, over to the file that takes its place, and where it is cut', async ({ run, folder }) => {
    const path = join(folder, 'trace.log')
    writeFileSync(path, file)
    const following = run(['trace', '-f', '--file', 'trace.log', '--component', 'core'])
    const write = async (message: string) => {
      appendFileSync(path, `${JSON.stringify({ ...span, message })}\n`)
      await shows(following, message)
    }
    // It has opened the file once it shows what is written to it; until then it is written to again.
    await expect.poll(() => {
      appendFileSync(path, `${JSON.stringify({ ...span, message: 'begun' })}\n`)
      return following.stdout
    }, { timeout: 20_000, interval: 100 }).toContain('begun')
    await write('first')
    appendFileSync(path, `${JSON.stringify({ ...span, message: 'last of the old' })}\n${JSON.stringify(failed)}\n`)
    renameSync(path, join(folder, 'trace.log.1'))
    writeFileSync(path, `${JSON.stringify({ ...span, message: 'first of the new' })}\n`)
    await shows(following, 'first of the new')
    copyFileSync(path, join(folder, 'trace.log.2'))
    truncateSync(path)
    await write('after the cut')

    expect(linesOf(following).map((text) => text.slice(85)).filter((message) => message !== 'begun')).toEqual(['first', 'last of the old', 'first of the new', 'after the cut'])
    expect(await following.end('SIGINT')).toMatchObject({ code: 0, stderr: '' })
  })

  test('one that is not there, or cannot be read, is named', async ({ run }) => {
    const ends = await Promise.all([['none.log'], ['none.log', '-f'], ['.'], ['none.gz']].map(async (args) => await run(['trace', '--file', ...args]).end()))

    expect(ends.map(({ code, stderr }) => [code, stderr])).toEqual([
      [1, 'muxi-api: there is no file none.log\n'], [1, 'muxi-api: there is no file none.log\n'], [1, 'muxi-api: . cannot be read (EISDIR)\n'], [1, 'muxi-api: there is no file none.gz\n']
    ])
  })

  test('who reads no more is no failure; standard input is a file, too', async ({ folder }) => {
    writeFileSync(join(folder, 'trace.log'), file.repeat(5_000))
    const { stdout, stderr } = await promisify(execFile)('sh', ['-c', `cat trace.log | "${process.execPath}" "${resolve('dist/cli/index.js')}" trace --file - 2>errors | head -n 1; cat errors >&2`], { cwd: folder })

    expect({ stdout, stderr }).toEqual({ stdout: `${shownSpan}\n`, stderr: '' })
  })
})

test('wrong use is exit code 2 and a line', async ({ run }) => {
  const wrong: [string[], string][] = [
    [['--level', 'loud'], '--level must be one of debug, info, warn, error'],
    [['--trace-id', 'xyz'], '--trace-id must be 8 to 32 hex digits: the id or its beginning'],
    [['--from', 'yesterday'], '--from must be a time such as 2026-03-02T09:30:45Z, or how long ago, such as 10m, 2h or 1d'],
    [['--limit', '0'], '--limit must be a whole number from 1 to 10000'],
    [['--output', 'yaml'], '--output must be text or json'],
    [['--host', 'ftp://x/'], '--host must be like localhost:8000 or https://api.example.com'],
    [['--component', ''], '--component must not be empty'],
    [['--key', 'with blanks'], 'the key must be printable ASCII without blanks']
  ]
  const ends = await Promise.all(wrong.map(async ([args]) => await run(['trace', ...args]).end()))

  expect(ends.map(({ code, stdout, stderr }) => [code, stdout, stderr])).toEqual(wrong.map(([, text]) => [2, '', `muxi-api: ${text}\ntry muxi-api --help\n`]))
})
