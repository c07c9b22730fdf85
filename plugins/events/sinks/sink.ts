import type { FastifyBaseLogger } from 'fastify'
import type { Recorded, Topic } from '../recorded.ts'

/** Takes every event out of this server. `write` neither waits nor throws; what it must leave out it counts. */
export interface Sink {
  write: (topic: Topic, recorded: Recorded) => void
  /** Writes what is still held, for as long as that is sensible. */
  close: () => Promise<void>
}

export interface SinkOptions {
  log: Pick<FastifyBaseLogger, 'warn'>
  /** Told of events that were left out. */
  onLost: (events: number) => void
}
