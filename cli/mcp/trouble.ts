import { errors } from 'undici'
import { refusalOf } from '../doctor/visit.ts'
import { isRecord } from './message.ts'

interface About { isPassing?: boolean, isDone?: 'no' | 'maybe', afterMs?: number, isSilent?: boolean, data?: Record<string, unknown>, cause?: unknown }

/** Why a message has no answer of the server. */
export class Trouble extends Error {
  /** Another attempt may do better. */
  readonly isPassing: boolean
  /** Whether the server may have done what the message asks for. */
  readonly isDone: 'no' | 'maybe'
  /** How long the server wants to be left alone. */
  readonly afterMs: number
  /** It was waited for long enough. */
  readonly isSilent: boolean
  readonly data: Record<string, unknown> | undefined

  constructor (message: string, { isPassing = false, isDone = 'no', afterMs = 0, isSilent = false, data, cause }: About = {}) {
    super(message, { cause })
    this.isPassing = isPassing
    this.isDone = isDone
    this.afterMs = afterMs
    this.isSilent = isSilent
    this.data = data
  }
}

const unconnected = /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|ETIMEDOUT)$/
const distrusted = /^(?:CERT_|ERR_TLS|ERR_SSL|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|EPROTO)/
const most = 4_096

/** What broke a call, or the reading of its answer. */
export function troubleOf (error: unknown, url: string, timeoutMs: number): Trouble {
  if (error instanceof Trouble) return error
  const { code = '', message } = error as { code?: string, message: string }
  if (unconnected.test(code)) return new Trouble(`no answer from ${url} (${code}): start the server, or name another with --url`, { isPassing: true, cause: error })
  if (distrusted.test(code)) return new Trouble(`${url} cannot be trusted (${code}): mend its certificate, or name who signed it in NODE_EXTRA_CA_CERTS`, { cause: error })
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) return new Trouble(`${url} was silent for ${timeoutMs} ms: ask for less, or give it more with --timeout`, { isDone: 'maybe', isSilent: true, cause: error })
  return new Trouble(`the connection to ${url} broke off (${code || message})`, { isPassing: true, isDone: 'maybe', cause: error })
}

/** What an answer that is none says. */
export function troubleIn ({ status, headers, text }: { status: number, headers: Record<string, string | string[] | undefined>, text: string }, url: string): Trouble {
  const what = refusalOf({ status, headers, text: text.slice(0, most) })
  const data = { status, ...errorIn(text) }
  if (status === 401) return new Trouble(`${url} answered ${what}: set MUXI_API_KEY to a key that is valid there`, { data })
  if (status === 404) return new Trouble(`${url} answered ${what}: --url must be the address of its MCP endpoint, such as http://127.0.0.1:8000/mcp`, { data })
  if (status >= 300 && status < 400) return new Trouble(`${url} sends on to ${String(headers.location)}: give that to --url, since a key is not sent on`, { data })
  const afterMs = Number(headers['retry-after'] ?? 0) * 1_000 || 0
  // Neither has begun anything: the one counts calls before it looks at them, the other has no room for them.
  if (status === 429 || status === 503) return new Trouble(`${url} answered ${what}`, { isPassing: true, afterMs, data })
  if (status === 408 || status === 502 || status === 504) return new Trouble(`${url} answered ${what}`, { isPassing: true, isDone: 'maybe', data })
  return new Trouble(`${url} answered ${what}`, { isDone: status >= 500 ? 'maybe' : 'no', data })
}

/** The error of JSON-RPC that a host is told. */
export function errorOf (error: unknown): { code: number, message: string, data?: Record<string, unknown> } {
  if (!(error instanceof Trouble)) return { code: -32_603, message: 'the bridge failed: see its standard error' }
  const { message, isDone, isSilent, data } = error
  const unknown = isDone === 'maybe' ? '; whether it was done is not known: look before you call again' : ''
  return { code: isSilent ? -32_001 : -32_000, message: `${message}${unknown}`, ...(data !== undefined && { data }) }
}

function errorIn (text: string): Record<string, unknown> {
  try {
    const { error } = JSON.parse(text) as { error?: unknown }
    return isRecord(error) ? error : {}
  } catch {
    return {}
  }
}
