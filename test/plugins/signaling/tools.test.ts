import { expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import type { RtcJoined } from '../../../schemas/rtc.ts'
import { as, sharedWith } from '../../app.ts'
import { sdp } from './peer.ts'

const test = sharedWith()

async function callTool<T> (app: FastifyInstance, name: string, args: object): Promise<{ isError: boolean, content: T }> {
  const { body } = await app.inject({ method: 'POST', url: '/mcp', headers: { ...as('user'), host: 'localhost', accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } } })
  const { result } = JSON.parse(/^data: (\{.*)$/m.exec(body)?.[1] ?? body) as { result: { isError?: boolean, structuredContent?: T, content: { text: string }[] } }
  return { isError: result.isError === true, content: result.structuredContent ?? JSON.parse(result.content[0]!.text) as T }
}

test('a room is opened, joined and signaled in by tools, and no log shows a token', async ({ app, lines }) => {
  const ada = await callTool<RtcJoined>(app, 'rtc_session_create', { user_id: 'ada' })
  const { session_id: id } = ada.content
  const ben = await callTool<RtcJoined>(app, 'rtc_participant_create', { session_id: id, user_id: 'ben' })
  const own = { session_id: id, participant_id: ben.content.participant_id }
  const offer = await callTool<{ status: string, error?: { code: string } }>(app, 'rtc_offer_send', { ...own, participant_token: ben.content.participant_token, description: { type: 'offer', sdp: sdp() } })
  const others = await callTool<{ error: { code: string } }>(app, 'rtc_offer_send', { ...own, participant_token: ada.content.participant_token, description: { type: 'offer', sdp: sdp() } })
  const broken = await callTool<{ error: { code: string } }>(app, 'rtc_offer_send', { ...own, participant_token: 'a\r\nb: c', description: { type: 'offer', sdp: sdp() } })

  expect(offer.content).toMatchObject({ status: 'queued' })
  expect([others, broken].map(({ isError, content }) => [isError, content.error.code])).toEqual([[true, 'not_found'], [true, 'bad_request']])
  const log = JSON.stringify(lines.all)
  expect(log).toContain('rtc_offer_send')
  for (const secret of [ada, ben].map(({ content }) => content.participant_token)) expect(log).not.toContain(secret)
  expect(log).not.toContain('ice-ufrag')
})
