import { request as requestHttp, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { ConnectionOptions } from 'node:tls'
import { patienceMs } from './check.ts'

/** Where the server is visited, and whom to trust there. */
export interface Place {
  /** Without a slash at its end. */
  url: string
  /** Certificates (PEM) that may have signed the server's; those that Node.js trusts when unset. */
  ca?: string | undefined
  /** `ca` is the server's own certificate: it alone is taken, whatever its name and whoever signed it. */
  isPinned?: boolean
}

export interface Visit { method?: 'GET' | 'POST', headers?: Record<string, string>, body?: unknown }

/** An answer with the times at which its pieces came, in ms after the request left. */
export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  pieces: { at: number, text: string }[]
  /** False where we stopped listening before its end. */
  ended: boolean
  /** Our end of the connection. */
  localAddress: string
  remoteAddress: string
}

/** Not a byte of an answer came in time. */
export class Silence extends Error {}

const most = 4_194_304

/** One call over a connection of its own; an answer without end is what came in time. Redirects are not followed: a key goes nowhere else. */
export async function visit (place: Place, path: string, { method = 'GET', headers = {}, body }: Visit = {}): Promise<Answer> {
  const started = performance.now()
  const payload = body === undefined ? undefined : JSON.stringify(body)
  const message = ask(place, path, { method, headers: { ...headers, ...(payload !== undefined && { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) }) } })
  // Ours ends before that of the check, which would lose what came.
  const timer = setTimeout(() => { message.destroy(new Silence(`no answer within ${patienceMs / 1_000} s`)) }, patienceMs - 300)
  message.end(payload)
  try {
    return await new Promise<Answer>((resolve, reject) => {
      let answer: Answer | undefined
      message.on('error', (error) => { answer === undefined ? reject(error) : resolve(answer) })
      message.once('upgrade', (response: IncomingMessage, socket) => {
        socket.destroy()
        resolve(answerOf(response))
      })
      message.once('response', (response) => {
        answer = answerOf(response)
        const { pieces } = answer
        response.setEncoding('utf8')
        response.on('data', (text: string) => {
          pieces.push({ at: performance.now() - started, text })
          answer!.text += text
          if (answer!.text.length > most) response.destroy()
        })
        response.once('end', () => { answer!.ended = true })
        response.once('error', () => {})
        response.once('close', () => { resolve(answer!) })
      })
    })
  } finally {
    clearTimeout(timer)
    message.destroy()
  }
}

function ask ({ url, ca, isPinned }: Place, path: string, { method, headers }: { method: string, headers: Record<string, string> }): ClientRequest {
  const options = { method, headers: { 'user-agent': 'muxi-api-doctor', ...headers }, agent: false } as const
  return url.startsWith('https:')
    ? requestHttps(url + path, { ...options, ...trust({ ca, isPinned }) })
    : requestHttp(url + path, options)
}

/** How TLS judges the other side. */
export function trust ({ ca, isPinned }: Pick<Place, 'ca' | 'isPinned'>): ConnectionOptions {
  return { ...(ca !== undefined && { ca }), ...(isPinned === true && { allowPartialTrustChain: true, checkServerIdentity: () => undefined }) }
}

function answerOf ({ statusCode = 0, headers, socket }: IncomingMessage): Answer {
  return { status: statusCode, headers, text: '', pieces: [], ended: false, localAddress: socket.localAddress ?? '', remoteAddress: socket.remoteAddress ?? '' }
}

/** The members of a JSON object; none for anything else. */
export function membersOf (text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value as Record<string, unknown> : {}
  } catch {
    return {}
  }
}

/** What our server says went wrong; undefined where somebody else answered. */
export function errorIn ({ text }: Pick<Answer, 'text'>): { code: string, message: string } | undefined {
  const { error } = membersOf(text) as { error?: { code?: unknown, message?: unknown, request_id?: unknown } }
  return typeof error?.code === 'string' && typeof error.request_id === 'string' ? { code: error.code, message: String(error.message) } : undefined
}

/** An answer that was not the wanted one, in words. */
export function refusalOf (answer: Pick<Answer, 'status' | 'text' | 'headers'>): string {
  const error = errorIn(answer)
  if (error !== undefined) return `${answer.status} ${error.code}: ${error.message}`
  return `${answer.status}, and not from muxi-api${answer.headers.server === undefined ? '' : ` but from ${answer.headers.server}`}`
}
