import type { IncomingMessage } from 'node:http'
import type { FastifyBaseLogger } from 'fastify'
import { traceOf } from './trace.ts'

type Line = [fields: unknown, message?: string]

/** The log of one request. Its pino child is made at the first line: most requests write one line only, and that through the parent. */
export class RequestLog implements FastifyBaseLogger {
  readonly #parent: FastifyBaseLogger
  readonly #raw: IncomingMessage
  readonly #requestId: unknown
  #child: FastifyBaseLogger | undefined

  constructor (parent: FastifyBaseLogger, raw: IncomingMessage, requestId: unknown) {
    this.#parent = parent
    this.#raw = raw
    this.#requestId = requestId
  }

  get #log (): FastifyBaseLogger {
    return this.#child ??= this.#parent.child({ requestId: this.#requestId, traceId: traceOf(this.#raw).traceId })
  }

  get level (): string { return this.#parent.level }
  child (...args: Parameters<FastifyBaseLogger['child']>): FastifyBaseLogger { return this.#log.child(...args) }
  fatal (...line: Line): void { this.#log.fatal(...line) }
  error (...line: Line): void { this.#log.error(...line) }
  warn (...line: Line): void { this.#log.warn(...line) }
  info (...line: Line): void { this.#log.info(...line) }
  debug (...line: Line): void { this.#log.debug(...line) }
  trace (...line: Line): void { this.#log.trace(...line) }
  silent (): void {}
}
