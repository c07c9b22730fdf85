import { readFileSync } from 'node:fs'
import type { LookupFunction } from 'node:net'
import type { Dispatcher } from 'undici'
import { ApiError } from '../errors.ts'
import type { Config } from '../schemas/config.ts'
import { Refusal } from './breaker.ts'
import { type Answer, dataOf, parseAnswer } from './envelope.ts'
import { limited, type Exchange } from './exchange.ts'
import { introspect, probe, type Verdict } from './keys.ts'
import { createSignedReader, type SignedReader } from './signed.ts'
import { type Actor, credentialsFor, routeOf } from './credentials.ts'
import type { Leaving } from './departure.ts'
import { codeOf, isNetworkFailure } from './retry.ts'
import { tokensIn } from './stream.ts'
import type { CoreTarget } from './target.ts'
import { Transport, type TransportObserver } from './transport.ts'
import type { CoreToken } from './types.ts'

export interface CallOptions {
  caller: Actor
  /** Sent as `X-Muxi-User-Id`. */
  user?: string | undefined
  /** Ends the call when it aborts. */
  signal?: Leaving | undefined
  /** W3C trace context of the call. */
  traceparent?: string | undefined
  /** What is asked for, as `no <what>` names it. */
  what?: string | undefined
  /** The version that a change was made from; the Core refuses the change when there is another by now. */
  ifMatch?: string | undefined
  /** Told once how it ended: with what status of the Core, 0 when no answer came, and with what failure. A stream ends when its reader is done; what cannot be sent does not begin. */
  onEnd?: (status: number, failure?: unknown) => void
}

/** Told of every exchange with the Core: `route` is the first segment of the path, `status` 0 when no answer came. */
export interface Observer extends TransportObserver {
  onCall: (call: { method: string, route: string, status: number, seconds: number }) => void
  onMalformed: () => void
  /** A call failed because the Core cannot be reached. */
  onAway: (error: ApiError) => void
}

/** For checks: whoever waits for one must not wait for a Core that hangs. */
const checkMs = 5_000
/** An introspection is a handful of members; what probes read may be a list. */
const longestVerdict = 65_536

/** The MUXI Core over HTTP. Every failure is an ApiError; paths are below `/v1`. */
export class CoreClient {
  readonly transport: Transport
  readonly #settings: Config['core']
  readonly #observer: Observer
  readonly #signed: SignedReader | undefined

  constructor (settings: Config['core'], observer: Observer, lookup?: LookupFunction) {
    this.#settings = settings
    this.#observer = observer
    this.transport = new Transport(settings, observer, lookup)
    const { introspection_jwks_uri: jwksUri, introspection_issuer: issuer = settings.uri, introspection_audience: audience, tls_ca: ca } = settings
    this.#signed = jwksUri === undefined ? undefined : createSignedReader({ jwksUri, issuer, audience, typ: 'token-introspection+jwt', ca: ca === undefined ? undefined : readFileSync(ca, 'utf8') })
  }

  async get<T> (path: string, options: CallOptions): Promise<T> {
    return await this.#call<T>('GET', path, undefined, options)
  }

  async post<T> (path: string, body: unknown, options: CallOptions): Promise<T> {
    return await this.#call<T>('POST', path, body, options)
  }

  async patch<T> (path: string, body: unknown, options: CallOptions): Promise<T> {
    return await this.#call<T>('PATCH', path, body, options)
  }

  async delete<T> (path: string, options: CallOptions): Promise<T> {
    return await this.#call<T>('DELETE', path, undefined, options)
  }

  /** Posts, waits for the Core to begin, then gives the tokens as they come. Ends the Core's request when the signal aborts or the reader stops. */
  async stream (path: string, body: unknown, options: CallOptions): Promise<AsyncIterable<CoreToken>> {
    const { headers, own } = this.#headers(path, options)
    const { signal } = options
    const started = performance.now()
    let status = 0
    const end = (failure?: unknown) => {
      // A call that the breaker turned away was no exchange.
      if (!(failure instanceof Refusal)) this.#observe('POST', path, status, started)
      options.onEnd?.(status, failure)
    }
    try {
      const { answer, target, ticket } = await this.transport.open({
        method: 'POST',
        path: `/v1${path}`,
        headers: { ...headers, accept: 'text/event-stream', 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal
      })
      status = answer.statusCode
      if (status !== 200 || !String(answer.headers['content-type']).startsWith('text/event-stream')) {
        const text = await limited(answer.body, 65_536)
        // Throws for every status from 400 on; a 200 that is no stream is as useless.
        dataOf({ status, headers: answer.headers, text }, { what: options.what, own })
        throw new ApiError('core_error', 'the MUXI Core gave an answer that cannot be used')
      }
      return this.#tokens(answer.body, signal, end, (error) => { this.transport.failed(target, ticket, error, signal) })
    } catch (error) {
      const failure = this.#failure(error, signal)
      end(failure)
      throw failure
    }
  }

  async * #tokens (body: AsyncIterable<Uint8Array>, signal: Leaving | undefined, onEnd: (failure?: unknown) => void, onFailure: (error: unknown) => void): AsyncGenerator<CoreToken, void, undefined> {
    let failure: unknown
    try {
      yield * tokensIn(body, { maxFrame: this.#settings.max_answer, onMalformed: this.#observer.onMalformed })
    } catch (error) {
      onFailure(error)
      failure = this.#failure(error, signal)
      throw failure
    } finally {
      onEnd(failure)
    }
  }

  /** The level of a key, as the Core judges it; undefined where it refuses the key. With `check` it is one of our own keys, at that address. */
  async accessOf (key: string, by: 'introspection' | 'probing', check?: CoreTarget): Promise<Verdict | undefined> {
    const { key_timeout_ms: keyMs, max_answer: most } = this.#settings
    const isAsked = by === 'introspection'
    const wait = isAsked ? this.transport.current.quietUntil - performance.now() : 0
    if (wait > 0) throw new ApiError('core_unavailable', 'the MUXI Core cannot check keys now', { retryAfter: Math.ceil(wait / 1_000) })
    const end = performance.now() + (check === undefined ? Math.min(keyMs, this.#settings.timeout_ms) : this.#checkMs)
    const send = async (request: Exchange) => await this.#exchange(request, {
      most: isAsked ? Math.min(longestVerdict, most) : most, timeout: Math.max(1, Math.round(end - performance.now())), own: isAsked || check !== undefined, check
    })
    try {
      return await (isAsked ? introspect(send, key, { adminKey: this.#settings.admin_key ?? '', roles: this.#settings, signed: this.#signed }) : probe(send, key))
    } catch (error) {
      const failure = this.#failure(error, undefined)
      // Late is as good as never: whoever shows a key is told to come back, not that the call took too long.
      if (!(failure instanceof ApiError) || failure.code !== 'core_timeout') throw failure
      throw new ApiError('core_unavailable', 'the MUXI Core did not judge the key in time', { cause: failure.message, retryAfter: 1 })
    }
  }

  /** The Core's own OpenAPI document: its version and what it offers. */
  async document (target = this.transport.current): Promise<unknown> {
    const { status, text } = await this.#look('/openapi.json', target)
    if (status === 429) throw new ApiError('core_unavailable', 'the MUXI Core is overloaded')
    if (status !== 200) throw new ApiError('core_error', 'the MUXI Core shows no /openapi.json', { cause: `status ${status}` })
    return parseAnswer(text)
  }

  /** Whether the Core answers at all; throws what keeps it from it. */
  async ping (target = this.transport.current): Promise<void> {
    const { status, text } = await this.#look('/v1/health', target)
    // Too many of our questions are no illness.
    if (status === 200 || status === 429) return
    const cause = this.transport.tls.explainAnswer(status, text)
    throw cause === undefined ? new ApiError('core_error', `the MUXI Core's /v1/health answers ${status}`) : new ApiError('core_unavailable', 'the MUXI Core cannot be reached', { cause })
  }

  async close (): Promise<void> {
    await this.transport.close()
  }

  /** One of the questions of a check. */
  async #look (path: string, check: CoreTarget): Promise<Answer> {
    try {
      return await this.#exchange({ method: 'GET', path, headers: {} }, { most: this.#settings.max_answer, timeout: this.#checkMs, own: true, check })
    } catch (error) {
      throw this.#failure(error, undefined)
    }
  }

  get #checkMs (): number {
    return Math.min(checkMs, this.#settings.timeout_ms)
  }

  async #call<T> (method: Dispatcher.HttpMethod, path: string, body: unknown, options: CallOptions): Promise<T> {
    const { headers, own } = this.#headers(path, options)
    const request: Exchange = { method, path: `/v1${path}`, headers, signal: options.signal }
    if (body !== undefined) {
      request.body = JSON.stringify(body)
      headers['content-type'] = 'application/json'
    }
    let status = 0
    let failure: unknown
    try {
      const answer = await this.#exchange(request, { most: this.#settings.max_answer, timeout: this.#settings.timeout_ms })
      status = answer.status
      return dataOf<T>(answer, { what: options.what, own })
    } catch (error) {
      failure = this.#failure(error, options.signal)
      throw failure
    } finally {
      options.onEnd?.(status, failure)
    }
  }

  #headers (path: string, { caller, user, traceparent, ifMatch }: CallOptions): { headers: Record<string, string>, own: boolean } {
    const { header, key, own } = credentialsFor(path, caller, this.#settings)
    const headers: Record<string, string> = { [header]: key }
    // A header takes bytes: UTF-8, whatever the script of the name.
    if (user !== undefined) headers['x-muxi-user-id'] = Buffer.from(user).toString('latin1')
    if (traceparent !== undefined) headers.traceparent = traceparent
    if (ifMatch !== undefined) headers['if-match'] = `"${ifMatch}"`
    return { headers, own }
  }

  async #exchange (request: Exchange, bounds: Parameters<Transport['exchange']>[1]): Promise<Answer> {
    const started = performance.now()
    const path = request.path.startsWith('/v1/') ? request.path.slice(3) : request.path
    try {
      const answer = await this.transport.exchange(request, bounds)
      this.#observe(request.method, path, answer.status, started)
      return answer
    } catch (error) {
      if (!(error instanceof Refusal)) this.#observe(request.method, path, 0, started)
      throw error
    }
  }

  #observe (method: string, path: string, status: number, started: number): void {
    this.#observer.onCall({ method, route: routeOf(path), status, seconds: (performance.now() - started) / 1_000 })
  }

  /** What a failure means to the caller. The address stays in the cause, for the log. */
  #failure (error: unknown, signal: Leaving | undefined): unknown {
    if (error instanceof ApiError) return error
    if (signal?.aborted === true) return new ApiError('request_timeout', 'the caller went away')
    if (/^UND_ERR_(?:HEADERS|BODY)_TIMEOUT$/.test(codeOf(error))) return new ApiError('core_timeout', 'the MUXI Core went silent', { cause: error })
    if ((error as Error).name === 'HTTPParserError') return new ApiError('core_error', 'the MUXI Core gave an answer that cannot be used', { cause: error })
    if (!isNetworkFailure(error)) return error
    const away = new ApiError('core_unavailable', 'the MUXI Core cannot be reached', { cause: this.transport.tls.explain(error) ?? error, retryAfter: 1 })
    this.#observer.onAway(away)
    return away
  }
}
