import { createHmac } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { RtcJoined } from '../../schemas/rtc.ts'
import { timeOf } from './view.ts'

/** The servers by which a participant finds and is found; those of TURN with credentials for it alone (the REST scheme of coturn, draft-uberti-behave-turn-rest). */
export function iceServersFor ({ config: { api: { ice_servers: urls, turn_secret: secret, turn_ttl_s: ttl } } }: FastifyInstance, participant: string): RtcJoined['ice_servers'] {
  const isTurn = (url: string) => /^turns?:/.test(url)
  const [stun, turn] = [urls.filter((url) => !isTurn(url)), urls.filter(isTurn)]
  const servers: RtcJoined['ice_servers'] = stun.length > 0 ? [{ urls: stun }] : []
  // Without the secret there are no credentials, and a browser refuses a TURN server without.
  if (turn.length === 0 || secret === undefined) return servers
  const expiresAt = Math.floor(Date.now() / 1_000) + ttl
  const username = `${expiresAt}:${participant}`
  return [...servers, { urls: turn, username, credential: createHmac('sha1', secret).update(username).digest('base64'), expires_at: timeOf(expiresAt * 1_000) }]
}
