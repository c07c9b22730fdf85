import { once } from 'node:events'
import { connect } from 'node:http2'
import { expect } from 'vitest'
import { WebSocket } from 'ws'
import { as, sharedWith } from '../../app.ts'
import { Peer } from '../signaling/peer.ts'
import { refused, SocketPeer } from './peer.ts'

const test = sharedWith({ MUXI_API_TLS_CERT: 'test/fixtures/tls/cert.pem', MUXI_API_TLS_KEY: 'test/fixtures/tls/key.pem' })
const tls = { rejectUnauthorized: false }

/** The head and the body of one answer over HTTP/2. */
async function over2 (url: string, headers: Record<string, string>): Promise<{ status: number, headers: Record<string, unknown>, body: string }> {
  const session = connect(url, tls)
  const stream = session.request({ ':path': '/api/v1/ws', ...headers })
  const [head] = await once(stream, 'response') as [Record<string, unknown>]
  let body = ''
  for await (const chunk of stream) body += String(chunk)
  session.close()
  return { status: Number(head[':status']), headers: head, body }
}

test('the port that speaks HTTP/2 takes sockets over HTTP/1.1, for chat and signaling', async ({ url, app }) => {
  const { json: open } = await app.inject({ method: 'POST', url: '/api/v1/rtc/sessions', headers: as('user'), payload: { user_id: 'ada' } })
  const joined = open<Peer['joined']>()
  const peer = await SocketPeer.open(url, { headers: as('user'), ...tls })
  peer.send('chat', 'c', { content: 'What is 6 times 7?' })
  peer.send('rtc_subscribe', 's', { session_id: joined.session_id, participant_id: joined.participant_id, participant_token: joined.participant_token })
  await peer.next('chat_end', 'c')
  const { data: welcome } = await peer.next('rtc_state', 's')
  peer.close()

  expect(peer.of('chat_content').map(({ data }) => data.content).join('')).toBe('6 * 7 = 42.')
  expect(welcome).toMatchObject({ type: 'welcome', participants: [{ participant_id: joined.participant_id, transport: 'socket' }] })
})

test('who is refused there is so, too, and its connection is closed', async ({ url }) => {
  const answer = await refused(url, tls)
  const foreign = await refused(url, { headers: { ...as('user'), origin: 'https://evil.example' }, ...tls })

  expect([answer.status, answer.headers.connection, foreign.status]).toEqual([401, 'close', 403])
})

test('over HTTP/2 itself there is none: the answer says where to go', async ({ url }) => {
  const answer = await over2(url, as('user'))

  expect(answer.status).toBe(426)
  expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'upgrade_required', message: expect.stringContaining('HTTP/1.1') } })
  expect(Object.keys(answer.headers)).not.toContain('upgrade')
})

test('the page\'s Origin is that of the port it was loaded from', async ({ url }) => {
  const socket = new WebSocket(`${url.replace('https', 'wss')}/api/v1/ws`, { headers: { ...as('user'), origin: url }, ...tls })
  await once(socket, 'open')
  socket.terminate()

  expect(url).toMatch(/^https:/)
})
