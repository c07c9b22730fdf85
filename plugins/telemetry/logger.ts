import pino, { type DestinationStream, type Logger, stdSerializers } from 'pino'
import type { Config } from '../../config.ts'
import type { Tap } from './tap.ts'

/** Fixed paths: wildcards would cost half the speed of logging. The second line of defence; the first is not to log secrets. */
const secrets = ['key', 'token', 'credentials', 'api_key', 'headers.authorization', 'headers.cookie', 'headers["x-api-key"]', 'model.api_key']

/** What pino and its own stream have of each other. */
interface Destination extends DestinationStream { flush?: (done?: (error?: Error) => void) => void, flushSync?: () => void }

/** One JSON object per line: level, timestamp (RFC 3339, ms), service, message, then the facts. To the destination, else to standard output where that is wanted, and to the tap. */
export function createLogger ({ api }: Config, service: { service: string, version: string }, tap: Tap, destination: DestinationStream | undefined = api.tracing_stdout ? standardOutput() : undefined): Logger {
  return pino({
    level: api.log_level,
    base: service,
    messageKey: 'message',
    timestamp: timestampOf(),
    formatters: { level: (level) => ({ level }) },
    redact: secrets,
    serializers: { err: stdSerializers.errWithCause }
  }, new Tapped(tap, destination))
}

/** Written in pieces of 4 KiB, at the latest after 100 ms: one system call for a dozen lines. pino writes the rest when the process ends. */
function standardOutput (): DestinationStream {
  return pino.destination({ dest: 1, sync: false, minLength: 4_096, periodicFlush: 100 })
}

/** Writes each line twice, and stands for the first place in all else: pino flushes what it writes to. */
class Tapped implements Destination {
  readonly #tap: Tap
  readonly #destination: Destination | undefined

  constructor (tap: Tap, destination: Destination | undefined) {
    this.#tap = tap
    this.#destination = destination
  }

  write (line: string): void {
    this.#destination?.write(line)
    this.#tap.log?.(line.slice(0, -1))
  }

  flush (done: (error?: Error) => void = () => {}): void {
    if (this.#destination?.flush === undefined) done()
    else this.#destination.flush(done)
  }

  flushSync (): void {
    this.#destination?.flushSync?.()
  }
}

/** Many lines share their millisecond: its text is made once. */
function timestampOf (): () => string {
  let at = 0
  let text = ''
  return () => {
    const now = Date.now()
    if (now !== at) {
      at = now
      text = `,"timestamp":"${new Date(now).toISOString()}"`
    }
    return text
  }
}
