import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiError } from '../../errors.ts'
import type { LogEvent, StreamQuery } from '../../schemas/logs.ts'
import type { TraceEvent } from '../../schemas/traces.ts'
import { Client, type Observer } from './client.ts'
import { openEnds } from './ends.ts'
import { Feed, type Start } from './feed.ts'
import { filterOf } from './filter.ts'
import { jittered } from './frames.ts'
import { historyOf, type KeptEvent } from './history.ts'
import { Hub } from './hub.ts'
import { lineOf, shortened } from './line.ts'
import { Publisher } from './publisher.ts'
import { Recorded, type Event, type Topic } from './recorded.ts'

export interface Events {
  /** Takes an event into a stream; never waits, never throws. What was taken under the same `once`, at any instance, within ten minutes, is not taken again. */
  publish: ((topic: 'logs', event: LogEvent, options?: { once?: string }) => void) & ((topic: 'traces', event: TraceEvent, options?: { once?: string }) => void)
  /** More events wait to be kept than is good: whoever can send them later should. */
  isCrowded: (topic: Topic) => boolean
  /** What is kept of a topic, newest first, some hundreds at a time; others have their turn in between. */
  history: (topic: Topic) => AsyncGenerator<KeptEvent[]>
  /** Answers with a stream of a topic's events, which from here on lives by itself. */
  stream: (request: FastifyRequest, reply: FastifyReply, topic: Topic) => Promise<FastifyReply>
}

declare module 'fastify' {
  interface FastifyInstance { events: Events }
}

const tickMs = 1_000
const topics = ['logs', 'traces'] as const

/** The hub of log and trace events: takes them from everywhere, keeps them in the cluster, and hands them to whoever follows. */
export default fp(async (app) => {
  const { cluster, metrics, config: { api } } = app
  const settings = () => app.config.api
  const now = () => performance.now()
  const kept = { most: api.events_history, ttlMs: api.events_history_ms }

  const one = (topic: Topic) => {
    const hub = new Hub(() => feed)
    const feed: Feed = new Feed(topic, cluster, 4 * Math.max(1_000, api.stream_buffer), () => { hub.announce() })
    const publisher = new Publisher({
      append: async (batch) => { await cluster.append(topic, batch, kept) },
      counted: cluster.kind !== 'memory',
      onLost: (events) => { metrics.eventsLost.inc({ topic }, events) },
      onAway: (error) => { app.log.warn({ err: error, topic }, 'events cannot be published: they are held') },
      onBack: (lost) => {
        if (lost > 0) app.log.warn({ topic, events: lost }, 'events were given up while they could not be published')
        else app.log.info({ topic }, 'events are published again')
      }
    })
    const delivered = metrics.eventsDelivered.labels({ topic })
    const observer: Observer = { onEvents: (count) => { delivered.inc(count) }, onGap: (reason) => { metrics.streamGaps.inc({ topic, reason }) } }
    return { feed, hub, publisher, observer, published: metrics.eventsPublished.labels({ topic }) }
  }
  const all = { logs: one('logs'), traces: one('traces') }

  const ends = openEnds(app, (topic, event, once) => { take(topic, Recorded.ofEvent(shortened(event), once)) })
  const take = (topic: Topic, recorded: Recorded) => {
    const { publisher, published } = all[topic]
    published.inc()
    for (const sink of ends.sinks) sink.write(topic, recorded)
    publisher.publish(recorded)
  }

  app.tap.log = (line) => { take('logs', Recorded.ofText(lineOf(line))) }
  app.tap.span = (span) => {
    // More than can be kept up with: one trace in ten, and whatever failed.
    if (all.traces.publisher.isCrowded && span.status === 'ok' && Number.parseInt(span.traceId.slice(-2), 16) >= 26) {
      metrics.eventsSampled.inc()
      return
    }
    take('traces', Recorded.ofEvent(span))
  }

  app.decorate('events', {
    publish: (topic: Topic, event: Event, options?: { once?: string }) => { take(topic, Recorded.ofEvent(shortened(event), options?.once)) },
    isCrowded: (topic) => all[topic].publisher.isCrowded,
    history: async function * (topic) {
      await all[topic].publisher.settled(500)
      yield * historyOf(cluster, topic, api.events_history_ms)
    },
    stream: async (request, reply, topic) => {
      const { feed, hub, observer } = all[topic]
      const query = request.query as StreamQuery // of the contract, as both streams have it
      const filter = filterOf(topic, query)
      const given = request.headers['last-event-id'] ?? query.lastEventId
      let client: Client | undefined
      const handle = app.connections.add(request, {
        kind: topic === 'logs' ? 'log_stream' : 'trace_stream',
        filter: filter.asked,
        look: () => ({ cursor: client?.lastId, lag: client?.lag ?? 0, events: client?.events ?? 0, bytes: client?.bytes ?? 0 }),
        end: (reason) => { client?.end(reason) }
      })
      let leave = () => {}
      try {
        leave = await feed.join()
        const start: Start = given !== undefined ? await feed.startAfter(String(given)) : query.from !== undefined ? { after: await feed.oldest() } : {}
        if (request.departure.aborted) throw new ApiError('request_timeout', 'the caller went away')
        open(reply)
        // No wait from here on: what is read now is delivered, nothing before, nothing twice.
        const mine = client = new Client({ raw: reply.raw, feed, filter, limit: query.limit, settings, now, observer, isResuming: given !== undefined || query.from !== undefined }, feed.headId)
        const letGo = [hub.add(mine), leave, handle.remove, request.whileAllowed((error) => { mine.refuse(error) })]
        reply.raw.once('close', () => {
          mine.ended = true
          for (const go of letGo) go()
        })
        if (start.after !== undefined) mine.beginAfter(start.after).catch((error: unknown) => { request.log.error({ err: error }, 'a stream could not be continued') })
        else mine.begin(start.at ?? feed.ring.next, start.gap)
        return reply
      } catch (error) {
        leave()
        handle.remove()
        throw error
      }
    }
  } satisfies Events)

  const ticks = setInterval(() => { for (const topic of topics) all[topic].hub.tick(now()) }, Math.min(tickMs, Math.ceil(api.stream_heartbeat_ms / 2)))
  ticks.unref()
  app.addHook('onClose', async () => {
    clearInterval(ticks)
    app.tap.log = app.tap.span = undefined
    await ends.close()
    for (const topic of topics) {
      const { publisher, feed, hub } = all[topic]
      await publisher.close()
      feed.close()
      hub.close()
    }
  })
}, { name: 'events', dependencies: ['auth', 'cluster', 'connections', 'telemetry'] })

/** Takes the answer out of the server's hands: what follows is written by its client alone. */
function open (reply: FastifyReply): void {
  const { raw, request: { raw: { httpVersionMajor } }, server: { config: { api: { stream_rate: rate } } } } = reply
  reply.hijack()
  const headers = reply.getHeaders()
  const { ratelimit, 'ratelimit-policy': policy } = headers
  raw.writeHead(200, {
    ...headers as Record<string, string>,
    // The limit of the calls, and beside it that of the events of this stream.
    ...(rate > 0 && { 'ratelimit-policy': [policy, `"events";q=${rate};w=1`].flat().filter(Boolean).join(', '), ratelimit: [ratelimit, `"events";r=${rate};t=1`].flat().filter(Boolean).join(', ') }),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    ...(httpVersionMajor === 1 && { connection: 'keep-alive' })
  })
  raw.write(`:\nretry: ${jittered(2_000, 5_000)}\n\n`)
}
