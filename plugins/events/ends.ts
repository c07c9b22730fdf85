import type { FastifyInstance } from 'fastify'
import { followCoreFile } from './core-file.ts'
import type { Event, Topic } from './recorded.ts'
import { createSinks } from './sinks/index.ts'
import type { Sink } from './sinks/sink.ts'

type Publish = (topic: Topic, event: Event, once: string) => void

/** What takes events out of this server, and what brings those of the Core in: as the settings have it. */
export function openEnds (app: FastifyInstance, publish: Publish): { sinks: Sink[], close: () => Promise<void> } {
  const { log, metrics, settings, config: { core: { events_file: file } } } = app
  const sinks = createSinks(settings.api, { log, onLost: (sink, events) => { metrics.sinkLost.inc({ sink }, events) } })
  const follower = file === undefined ? undefined : followCoreFile(file, { publish, log, traceOf: (requestId) => app.traceOfRequest(requestId) })
  return {
    sinks,
    close: async () => {
      await follower?.close()
      await Promise.all(sinks.map(async (sink) => { await sink.close() }))
    }
  }
}
