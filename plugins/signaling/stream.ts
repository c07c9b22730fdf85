import type { FastifyInstance, FastifyReply } from 'fastify'
import { ApiError } from '../../errors.ts'
import type { RtcEndReason } from '../../schemas/rtc.ts'
import type { Claim, Delivered, Listening } from './signaling.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** Answers with what happens in a room, as server-sent events, for one participant. */
    rtcEvents: (claim: Claim, lastEventId: string | undefined) => Promise<FastifyReply>
  }
}

/** Who has so much to read, for so long, reads no more. */
const mostUnread = 1_048_576
const comesBack = new Set<RtcEndReason>(['shutdown', 'lifetime', 'slow', 'core_unavailable'])

/** The way of rooms without a socket: the same events, over HTTP. */
export function addStream (app: FastifyInstance): void {
  app.decorateReply('rtcEvents', async function (this: FastifyReply, claim, lastEventId) {
    const { raw, request } = this
    const { stream_heartbeat_ms: heartbeatMs, stream_life_ms: lifeMs } = app.config.api
    const sent = { events: 0, bytes: 0 }
    let listening: Listening | undefined
    let isOver = false
    // What comes before the head is out waits for it.
    let waiting: string[] | undefined = []
    const write = (text: string) => {
      if (waiting !== undefined) waiting.push(text)
      else {
        sent.bytes += Buffer.byteLength(text)
        raw.write(text)
        if (raw.writableLength > mostUnread) end('slow')
      }
    }
    const end = (reason: RtcEndReason) => {
      if (isOver) return
      write(`retry: ${comesBack.has(reason) ? 500 + Math.floor(Math.random() * 1_500) : 60_000}\nevent: end\ndata: ${JSON.stringify({ reason })}\n\n`)
      over()
      if (waiting === undefined) raw.end()
    }
    const over = () => {
      if (isOver) return
      isOver = true
      listening?.close()
      for (const go of letGo) go()
    }
    const letGo: (() => void)[] = []
    const handle = app.connections.add(request, { kind: 'rtc_stream', filter: { session_id: claim.session_id, participant_id: claim.participant_id }, look: () => ({ ...sent }), end: (reason) => { end(reason) } })
    letGo.push(handle.remove)
    try {
      listening = await app.signaling.listen(request, claim, {
        transport: 'sse',
        lastEventId,
        onEvents: (events) => {
          sent.events += events.length
          write(events.map(frameOf).join(''))
        },
        onEnd: end
      })
      if (request.departure.aborted) throw new ApiError('request_timeout', 'the caller went away')
    } catch (error) {
      over()
      throw error
    }
    this.hijack()
    raw.writeHead(200, { ...this.getHeaders() as Record<string, string>, 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no', ...(request.raw.httpVersionMajor === 1 && { connection: 'keep-alive' }) })
    const text = `:\nretry: ${500 + Math.floor(Math.random() * 1_500)}\n\n${waiting.join('')}`
    waiting = undefined
    write(text)
    if (isOver) {
      raw.end()
      return this
    }
    const heart = setInterval(() => { write(': heartbeat\n\n') }, heartbeatMs)
    const life = lifeMs === 0 ? undefined : setTimeout(() => { end('lifetime') }, lifeMs * (0.8 + Math.random() * 0.4))
    letGo.push(() => { clearInterval(heart) }, () => { clearTimeout(life) }, request.whileAllowed((error) => { end(error.code as RtcEndReason) }))
    raw.once('close', over)
    return this
  })
}

function frameOf ({ event, id, json }: Delivered): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${json}\n\n`
}
