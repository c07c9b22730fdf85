import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request, type Dispatcher } from 'undici'
import { errorIn, refusalOf, trust, type Place } from '../doctor/visit.ts'
import type { Asked, Told } from './asked.ts'

/** The server that is asked. */
export interface Server {
  url: string
  key: string | undefined
  dispatcher: Dispatcher
  /** How long an open stream may be silent before it counts as dead. */
  silenceMs: number
  /** Aborts when nobody wants to know more. */
  signal: AbortSignal
}

/** No answer, or one that may be another soon. */
export class Away extends Error {
  /** How long the server wants to be left alone, where it says so. */
  readonly afterMs: number

  constructor (message: string, { afterMs = 0, cause }: { afterMs?: number, cause?: unknown } = {}) {
    super(message, { cause })
    this.afterMs = afterMs
  }
}

export const keyRemedy = 'give an admin key as MUXI_API_TRACE_KEY (or --key)'
const patienceMs = 10_000
const pageSize = 100
const passing = new Set([408, 425, 429, 500, 502, 503, 504])

export function serverAt (place: Place, { key, heartbeatMs, signal }: { key: string | undefined, heartbeatMs: number, signal: AbortSignal }): Server {
  const dispatcher = new Agent({ connect: { ...trust(place), timeout: patienceMs } })
  return { url: place.url, key, dispatcher, silenceMs: Math.max(60_000, 3 * heartbeatMs), signal }
}

/** A GET; throws `Away` where another attempt may do better, and an error with a remedy where none will. */
export async function get ({ url, key, dispatcher, silenceMs, signal }: Server, path: string, query: URLSearchParams, headers: Record<string, string> = {}): Promise<Dispatcher.ResponseData> {
  const answer = await request(`${url}${path}${query.size > 0 ? `?${query.toString()}` : ''}`, {
    dispatcher,
    signal,
    headersTimeout: patienceMs,
    bodyTimeout: silenceMs,
    headers: { 'user-agent': 'muxi-api-trace', ...(key !== undefined && { authorization: `Bearer ${key}` }), ...headers }
  }).catch((cause: unknown) => { throw new Away(`no answer from ${url} (${reasonOf(cause)})`, { cause }) })
  const { statusCode: status, headers: { 'retry-after': after } } = answer
  if (status === 200) return answer
  // A page of an error by somebody in between may be long.
  const text = (await answer.body.text().catch(() => '')).slice(0, 4_096)
  const what = refusalOf({ status, text, headers: answer.headers })
  if (passing.has(status)) throw new Away(`${url} answered ${what}`, { afterMs: Number(after ?? 0) * 1_000 || 0 })
  if (status === 401 || status === 403) throw new Error(`${url} answered ${status} ${errorIn({ text })?.code ?? 'and is not muxi-api'}: ${keyRemedy}`)
  throw new Error(`${url} answered ${what}: name another server with --host, or mend what was asked for`)
}

/** The newest spans that fit, the oldest of them first; `isAll` is false where there are more. */
export async function list (server: Server, asked: Asked, say: (text: string) => void): Promise<{ events: Told[], isAll: boolean }> {
  const most = asked.limit ?? pageSize
  const found: Told[] = []
  for (let before: string | null = null; ;) {
    const query = queryOf({ ...asked, level: undefined }, { limit: Math.min(pageSize, most - found.length) })
    if (asked.level === 'error') query.set('status', 'error')
    if (before !== null) query.set('before', before)
    const { events, next_before: next } = await page(server, query, say)
    found.push(...events)
    if (next === null || found.length >= most) return { events: found.reverse(), isAll: next === null }
    before = next
  }
}

/** What both the list and the streams take. */
export function queryOf ({ component, operation, traceId, from, level }: Asked, more: Record<string, string | number> = {}): URLSearchParams {
  return new URLSearchParams(Object.entries({ component, operation, traceId, from, level, ...more }).flatMap(([name, value]) => value === undefined ? [] : [[name, String(value)] as [string, string]]))
}

/** Why there was no answer, in a word. */
export function reasonOf (error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code === undefined || code === '' ? message : code
}

async function page (server: Server, query: URLSearchParams, say: (text: string) => void): Promise<{ events: Told[], next_before: string | null }> {
  for (;;) {
    try {
      const { body } = await get(server, '/api/v1/logs/trace', query)
      return await body.json() as { events: Told[], next_before: string | null }
    } catch (error) {
      // A long list is many calls: the limit of calls is waited for, nothing else.
      if (!(error instanceof Away) || error.afterMs === 0 || error.afterMs > 60_000) throw error
      say(`${error.message}: going on in ${error.afterMs / 1_000} s`)
      await sleep(error.afterMs)
    }
  }
}
