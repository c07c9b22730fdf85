import type { TraceEvent } from '../../schemas/traces.ts'

declare module 'fastify' {
  interface FastifyInstance { tap: Tap }
}

/** Where lines of the log and finished spans are handed on as they are made, for who sets a function here. It must neither wait nor throw. */
export interface Tap {
  /** The JSON of a line, as it is written. */
  log: ((line: string) => void) | undefined
  /** Nothing changes a span once it is here. */
  span: ((span: TraceEvent) => void) | undefined
}
