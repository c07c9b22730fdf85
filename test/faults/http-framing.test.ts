// Bytes that two parsers might read in two ways, on real sockets; through a proxy: test/e2e/caddy.test.ts.
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { describe, expect, vi } from 'vitest'
import { as, sharedWith } from '../app.ts'
import { metric, send, tls } from './server.ts'

const overTcp = sharedWith()
const overTls = sharedWith(tls)
const second = 'GET /second HTTP/1.1\r\nHost: x\r\n\r\n'
const chat = `POST /api/v1/chat HTTP/1.1\r\nHost: x\r\nAuthorization: ${as('user').authorization}\r\nContent-Type: application/json\r\nX-Request-Id: first\r\n`

const ambiguous = {
  'a length, then an encoding': `${chat}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'an encoding, then a length': `${chat}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`,
  'two lengths': `${chat}Content-Length: 0\r\nContent-Length: 5\r\n\r\n`,
  'the same length twice': `${chat}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`,
  'a list of lengths': `${chat}Content-Length: 0, 0\r\n\r\n`,
  'a length with a sign': `${chat}Content-Length: +0\r\n\r\n`,
  'two encodings': `${chat}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n`,
  'a bare LF after the first line': 'GET /health HTTP/1.1\nHost: x\n\n',
  'a bare LF after a header': 'GET /health HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n',
  'a bare LF after the headers': 'GET /health HTTP/1.1\r\nHost: x\r\n\n',
  'a bare CR in a header': 'GET /health HTTP/1.1\r\nHost: x\rX-A: b\r\n\r\n',
  'a folded header': 'GET /health HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n',
  'a folded encoding': `${chat}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`,
  'a space before a colon': `${chat}Content-Length : 0\r\n\r\n`,
  'a NUL in a header': 'GET /health HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n'
}

describe.for([['TCP', overTcp], ['TLS', overTls]] as const)('over %s', ([, test]) => {
  test.for(Object.keys(ambiguous))('%s is 400 and the end, one line, and what follows is not read as a request', async (name, { url, lines }) => {
    const before = lines.all.length
    const { text } = await send(url, ambiguous[name as keyof typeof ambiguous] + second)

    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400'])
    expect(text).toMatch(/\r\nConnection: close\r\n/)
    expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toMatchObject({ error: { code: 'bad_request', request_id: expect.stringMatching(/^req_/) } })
    await vi.waitFor(() => { expect(lines.all.slice(before)).toMatchObject([{ message: 'request refused by the parser', error: 'bad_request' }]) }, 20_000)
  })

  test.for([
    ['an unknown encoding', `${chat}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['a bare LF after a chunk\'s length', `${chat}Transfer-Encoding: chunked\r\n\r\n0\n\n`],
    ['a bare LF in what a chunk says of itself', `${chat}Transfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n`],
    ['a chunk longer than it says', `${chat}Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n`]
  ] as const)('a body with %s is 400 and the end under its own id, one line, and what follows is not read as a request', async ([, bytes], { url, lines }) => {
    const before = lines.all.length
    const { text } = await send(url, bytes + second)

    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400'])
    expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toMatchObject({ error: { code: 'bad_request', request_id: 'first' } })
    await vi.waitFor(() => { expect(lines.all.slice(before)).toMatchObject([{ requestId: 'first', statusCode: 400, error: 'bad_request' }]) }, 20_000)
  })

  test('a request that is answered when garbage follows has its own answer, whole, and then the connection ends', async ({ url, lines, app }) => {
    const before = await metric(app, 'muxi_api_refused_total')
    const body = JSON.stringify({ content: '[fake: tokens=3 delay_ms=50]' })
    const garbage = 'garbage\r\n\r\n'
    const { text } = await send(url, `${chat.replace('first', 'followed')}Content-Length: ${body.length}\r\n\r\n${body}${garbage}`)

    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200'])
    expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toHaveProperty('agent_response')
    expect(lines.of('followed')).toMatchObject([{ statusCode: 200 }])
    expect(await metric(app, 'muxi_api_refused_total')).toBe(before + 1)
  })

  test.for([
    ['one header', `GET /health HTTP/1.1\r\nHost: x\r\nX-Big: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['many headers', `GET /health HTTP/1.1\r\nHost: x\r\n${'X-Many: abcdefgh\r\n'.repeat(1_200)}\r\n`],
    ['a URL', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`]
  ] as const)('more than 16 KiB of headers, in %s, is 431 in the one format, one line', async ([, bytes], { url, lines }) => {
    const before = lines.all.length
    const { text } = await send(url, bytes + second)

    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 431'])
    expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toMatchObject({ error: { code: 'headers_too_large', request_id: expect.stringMatching(/^req_/) } })
    await vi.waitFor(() => { expect(lines.all.slice(before)).toMatchObject([{ error: 'headers_too_large' }]) }, 20_000)
  })
})

overTls('over HTTP/2 such headers end their stream alone', async ({ url }) => {
  const session = connectHttp2(url, { rejectUnauthorized: false })
  // Before its settings have come a client may send more.
  await once(session, 'remoteSettings')
  const big = session.request({ ':path': '/health', 'x-big': 'a'.repeat(20_000) })
  const [error] = await once(big, 'error').catch((error: unknown) => [error]) as [Error]
  const small = session.request({ ':path': '/health' })
  const [headers] = await once(small, 'response') as [Record<string, unknown>]
  session.destroy()

  expect(error.message).toContain('NGHTTP2_ENHANCE_YOUR_CALM')
  expect(headers[':status']).toBe(200)
})
