import type { ServerContext } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import { Departure } from '../../core/departure.ts'
import { callTool, type Outcome } from './call.ts'
import type { Tool } from './tools.ts'

type Exchange = Pick<ServerContext['mcpReq'], '_meta' | 'notify' | 'signal'>

/** In every silence of so long its host hears that a call is at work: many give up after half a minute. */
export const heartbeatMs = 10_000
/** In `_meta` of a progress: its message stands for all that came before. */
export const replaceKey = 'muxi/replace'

/** Tells the progress of one call to its host, piece by piece, and that it is at work in between. */
export class Progress {
  readonly #token: string | number
  readonly #notify: Exchange['notify']
  readonly #heart: NodeJS.Timeout
  #count = 0
  #isQuiet = true
  #sending: Promise<void> = Promise.resolve()

  constructor (token: string | number, notify: Exchange['notify']) {
    this.#token = token
    this.#notify = notify
    this.#heart = setInterval(() => {
      if (this.#isQuiet) this.tell()
      this.#isQuiet = true
    }, heartbeatMs)
  }

  tell (message?: string, isWhole = false): void {
    this.#isQuiet = false
    const params = { progressToken: this.#token, progress: ++this.#count, ...(message !== undefined && { message }), ...(isWhole && { _meta: { [replaceKey]: true } }) }
    // In order, and not at all once nobody is there.
    this.#sending = this.#sending.then(async () => { await this.#notify({ method: 'notifications/progress', params }) }).catch(() => {})
  }

  /** From here on somebody else tells it: two counts of one call would not grow. */
  yield (): void { clearInterval(this.#heart) }

  /** Resolves when all is told: nothing may come behind the result. */
  async end (): Promise<void> {
    clearInterval(this.#heart)
    await this.#sending
  }
}

/** The progress that the host of a call has asked for. */
export function progressOf ({ _meta, notify }: Exchange): Progress | undefined {
  const token = _meta?.progressToken
  return token === undefined ? undefined : new Progress(token, notify)
}

/** Calls a tool of which its host wants to hear meanwhile, and that ends when the host cancels it: a chat tells its answer as it is written. */
export async function callAloud (tool: Tool, args: Record<string, unknown>, request: FastifyRequest, exchange: Exchange): Promise<Outcome> {
  const { signal, _meta } = exchange
  const until = new Departure()
  const leave = () => { until.leave() }
  if (signal.aborted || request.departure.aborted) leave()
  signal.addEventListener('abort', leave)
  request.departure.addEventListener('abort', leave)
  const progress = progressOf(exchange)
  const heard = ({ event, data }: { event: string, data: unknown }) => {
    const { content, replace } = data as { content: string, replace?: true }
    if (event === 'content') progress?.tell(content, replace)
  }
  try {
    return await callTool(tool, args, request, { until, heard, traceparent: _meta?.traceparent })
  } finally {
    signal.removeEventListener('abort', leave)
    request.departure.removeEventListener('abort', leave)
    await progress?.end()
  }
}
