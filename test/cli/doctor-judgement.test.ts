import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { judgeArrival } from '../../cli/doctor/forwarding.ts'
import { judgeClock } from '../../cli/doctor/redis.ts'
import { linesOf } from '../../cli/doctor/report.ts'
import { checkStream, judgeStream } from '../../cli/doctor/stream.ts'
import { listening } from '../core/client.ts'

const place = { url: 'https://api.example.com' }
/** A call of a machine in an office, to a server in the open. */
const call = { localAddress: '192.168.1.20', remoteAddress: '203.0.113.5' }
const seen = { address: '198.51.100.9', peer: '10.0.0.5', forwarded: 'counted', protocol: 'https', host: 'api.example.com', http_version: '1.1' } as const

test.for([
  ['the router before us', {}, {}],
  ['ourselves, in one network', { remoteAddress: '::ffff:192.168.1.5' }, { address: '192.168.1.20' }],
  ['a router inside, in one network', { remoteAddress: '192.168.1.5' }, { address: '192.168.7.1' }]
] as const)('a server that sees %s is well', ([, way, arrival]) => {
  expect(judgeArrival(place, { ...call, ...way }, { ...seen, ...arrival })).toMatchObject({ status: 'ok' })
})

test.for([
  ['its own machine', {}, { address: '127.0.0.1' }],
  ['an address inside, of a call from outside', {}, { address: '10.0.0.5' }],
  ['the address that we called', {}, { address: '203.0.113.5' }]
] as const)('a server that sees %s sees the proxy', ([, way, arrival]) => {
  expect(judgeArrival(place, { ...call, ...way }, { ...seen, forwarded: 'none', ...arrival })).toMatchObject({ status: 'warning', fact: expect.stringContaining('which is the proxy'), remedy: expect.stringContaining('X-Forwarded-For') })
})

test('a proxy that tells no protocol is asked to, with the setting where it told nothing at all', () => {
  const told = judgeArrival(place, call, { ...seen, protocol: 'http' })
  const silent = judgeArrival(place, call, { ...seen, protocol: 'http', forwarded: 'none' })

  expect(told).toMatchObject({ status: 'warning', remedy: 'let the proxy send X-Forwarded-Proto' })
  expect(silent).toMatchObject({ status: 'warning', remedy: expect.stringContaining('api.trust_proxy to its address (10.0.0.5)') })
})

/** Pieces of a stream by when they came. */
const heard = (times: number[], headers: Record<string, string> = { 'content-type': 'text/event-stream' }) => {
  const pieces = times.map((at) => ({ at, text: 'event: content\ndata: {}\n\n' }))
  return { headers, pieces, text: pieces.map(({ text }) => text).join(''), ended: true }
}

test.for([
  ['one by one', heard([20, 200, 400, 600, 800]), 'ok', '5 pieces one by one until 800 ms'],
  ['at once and soon', heard([20, 20, 20, 20, 21]), 'ok', 'too quick to tell'],
  ['at once after as long as they take', heard([900, 900, 901, 901, 902]), 'warning', 'the proxy buffers'],
  ['at once and late, though few', heard([2_000, 2_001]), 'warning', 'the proxy buffers'],
  ['late and one by one', heard([2_000, 2_300, 2_600]), 'warning', 'late'],
  ['not at all', heard([]), 'warning', 'no event within 5 s'],
  ['compressed', heard([20, 300], { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }), 'warning', 'compressed (gzip)'],
  ['as something else', heard([20], { 'content-type': 'text/html' }), 'warning', 'text/html, no event stream'],
  ['with a failure', { ...heard([20, 400]), text: 'event: error\ndata: {}\n\n' }, 'failed', 'the agent failed']
] as const)('a stream that comes %s', ([, answer, status, fact]) => {
  expect(judgeStream({ ...answer, pieces: [...answer.pieces] })).toMatchObject({ status, fact: expect.stringContaining(fact) })
})

test.for([[1_900, 'ok', 'agrees'], [-2_100, 'warning', '2.1 s behind'], [29_000, 'warning', '29.0 s ahead of'], [-31_000, 'failed', '31.0 s behind']] as const)('a clock of Redis that is %d ms away is %s', ([skew, status, fact]) => {
  expect(judgeClock(skew)).toMatchObject({ status, fact: expect.stringContaining(fact) })
})

test('a key that is bound to a user chats as that user', async () => {
  const server = createServer(async (request, response) => {
    if ((await text(request)).includes('user_id')) response.writeHead(403).end('{"error":{"code":"forbidden","message":"this key belongs to another user","request_id":"r"}}')
    else response.writeHead(200, { 'content-type': 'text/event-stream' }).end('event: message_start\ndata: {}\n\n')
  })
  const url = await listening(server)
  const found = await checkStream({ url }, 'sk_muxi_user_bound', 'Hello')
  server.close()

  expect(found).toMatchObject({ id: 'stream', status: 'ok' })
})

test('colours are for the first word of a line alone', () => {
  const lines = linesOf([{ id: 'a', status: 'ok', what: 'one', fact: 'well' }, { id: 'b', status: 'failed', what: 'another', fact: 'ill', remedy: 'mend it' }], true)

  expect(lines).toBe('\u001b[32mok     \u001b[0m  one      well\n\u001b[31mfailed \u001b[0m  another  ill\n         → mend it\n')
})
