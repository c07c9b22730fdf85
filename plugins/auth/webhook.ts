import { createHmac, timingSafeEqual } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ApiError } from '../../errors.ts'
import type { Attempts } from './attempts.ts'
import { anonymous } from './caller.ts'

const toleranceMs = 300_000
const mostBytes = 65_536

/** Lets a body that is signed as Standard Webhooks have it (version 1, HMAC-SHA-256) stand for a key of the route's level. */
export function verifySigned (app: FastifyInstance, attempts: Pick<Attempts, 'failed'>): void {
  app.addHook('onRoute', (route) => {
    if (route.config?.signed !== true) return
    route.preParsing = [async (request, reply, payload) => {
      if (request.headers['webhook-signature'] === undefined || request.caller !== anonymous) return payload
      const body = await bodyOf(payload)
      const reason = faultOf(request, body, app.config.api.webhook_secret)
      if (reason !== undefined) {
        app.audit.refused(request, 'signature')
        await attempts.failed({ address: request.ip, digest: 'webhook' }, true)
        throw new ApiError('unauthorized', reason)
      }
      request.caller = { ...anonymous, access: route.config?.access ?? 'admin', digest: 'webhook', keyDigest: 'webhook' }
      return Object.assign(Readable.from([body]), { receivedEncodedLength: body.length })
    }, ...[route.preParsing ?? []].flat()]
  })
}

function faultOf ({ headers }: FastifyRequest, body: Buffer, secret: string | undefined): string | undefined {
  if (secret === undefined) return 'signed calls are off: set MUXI_API_WEBHOOK_SECRET'
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signatures } = headers
  if (typeof id !== 'string' || typeof time !== 'string' || typeof signatures !== 'string' || !/^\d{1,12}$/.test(time)) return 'a signed call needs webhook-id, webhook-timestamp and webhook-signature'
  if (Math.abs(Date.now() - Number(time) * 1_000) > toleranceMs) return 'webhook-timestamp is more than 5 minutes from the clock of this server'
  const expected = createHmac('sha256', secretBytes(secret)).update(`${id}.${time}.`).update(body).digest()
  const isGood = signatures.split(' ').some((one) => {
    const [version, text = ''] = one.split(',', 2)
    const given = Buffer.from(text, 'base64')
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected)
  })
  return isGood ? undefined : 'the signature does not fit the body'
}

/** As the specification writes secrets: base64 behind `whsec_`; any other text is taken as it is. */
function secretBytes (secret: string): Buffer {
  return secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret)
}

async function bodyOf (payload: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of payload) {
    size += chunk.length
    if (size > mostBytes) throw new ApiError('payload_too_large', `a signed body has ${mostBytes} bytes at most`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
