import { readFileSync } from 'node:fs'
import { Pool, type Dispatcher } from 'undici'
import { ApiError } from '../errors.ts'
import type { Config } from '../schemas/config.ts'
import { type Answer, dataOf, parseAnswer } from './envelope.ts'
import { exchange, limited, type Exchange } from './exchange.ts'
import { introspect, probe, type Verdict } from './keys.ts'
import { createSignedReader, type SignedReader } from './signed.ts'
import { type Actor, credentialsFor, routeOf } from './credentials.ts'
import type { Leaving } from './departure.ts'
import { codeOf, isNetworkFailure, withRetries } from './retry.ts'
import { tokensIn } from './stream.ts'
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
}

/** Told of every exchange with the Core: `route` is the first segment of the path, `status` 0 when no answer came. */
export interface Observer {
  onCall: (call: { method: string, route: string, status: number, seconds: number }) => void
  onMalformed: () => void
  /** A call failed because the Core cannot be reached. */
  onAway: (error: ApiError) => void
}

const shortMs = 5_000

/** The MUXI Core over HTTP. Every failure is an ApiError; paths are below `/v1`. */
export class CoreClient {
  readonly #settings: Config['core']
  readonly #observer: Observer
  readonly #prefix: string
  readonly #calls: Pool
  readonly #streams: Pool
  readonly #signed: SignedReader | undefined

  constructor (settings: Config['core'], observer: Observer) {
    this.#settings = settings
    this.#observer = observer
    const { origin, pathname } = new URL(settings.uri)
    this.#prefix = pathname.replace(/\/+$/, '')
    const file = (path: string | undefined) => path === undefined ? undefined : readFileSync(path, 'utf8')
    const options: Pool.Options = {
      // The Core closes idle connections after 5 s: never be the second to notice.
      keepAliveTimeout: 4_000,
      connect: { timeout: settings.connect_timeout_ms, ca: file(settings.tls_ca), cert: file(settings.tls_cert), key: file(settings.tls_key) }
    }
    this.#calls = new Pool(origin, { ...options, connections: settings.pool })
    const { introspection_jwks_uri: jwksUri, introspection_issuer: issuer = settings.uri, introspection_audience: audience } = settings
    this.#signed = jwksUri === undefined ? undefined : createSignedReader({ jwksUri, issuer, audience, typ: 'token-introspection+jwt', ca: file(settings.tls_ca) })
    // Streams hold their connection for long: they must not starve the calls.
    this.#streams = new Pool(origin, { ...options, headersTimeout: settings.timeout_ms, bodyTimeout: settings.idle_timeout_ms })
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
    const started = performance.now()
    let status = 0
    const observe = () => { this.#observer.onCall({ method: 'POST', route: routeOf(path), status, seconds: (performance.now() - started) / 1_000 }) }
    try {
      const answer = await withRetries(async () => await this.#streams.request({
        method: 'POST',
        path: `${this.#prefix}/v1${path}`,
        headers: { ...headers, accept: 'text/event-stream', 'content-type': 'application/json' },
        body: JSON.stringify(body),
        // undici listens to it as we do.
        signal: options.signal as AbortSignal | undefined
      }), { retries: this.#settings.retries, read: false, signal: options.signal })
      status = answer.statusCode
      if (status !== 200 || !String(answer.headers['content-type']).startsWith('text/event-stream')) {
        const text = await limited(answer.body, 65_536)
        // Throws for every status from 400 on; a 200 that is no stream is as useless.
        dataOf({ status, headers: answer.headers, text }, { what: options.what, own })
        throw new ApiError('core_error', 'the MUXI Core gave an answer that cannot be used')
      }
      return this.#tokens(answer.body, options.signal, observe)
    } catch (error) {
      observe()
      throw this.#failure(error, options.signal)
    }
  }

  async * #tokens (body: AsyncIterable<Uint8Array>, signal: Leaving | undefined, onEnd: () => void): AsyncGenerator<CoreToken, void, undefined> {
    try {
      yield * tokensIn(body, { maxFrame: this.#settings.max_answer, onMalformed: this.#observer.onMalformed })
    } catch (error) {
      throw this.#failure(error, signal)
    } finally {
      onEnd()
    }
  }

  /** The level of a key, as the Core judges it; undefined where it refuses the key. */
  async accessOf (key: string, by: 'introspection' | 'probing'): Promise<Verdict | undefined> {
    const send = async (request: Exchange) => await this.#exchange(request, this.#shortly)
    try {
      return await (by === 'introspection' ? introspect(send, key, { adminKey: this.#settings.admin_key ?? '', roles: this.#settings, signed: this.#signed }) : probe(send, key))
    } catch (error) {
      throw this.#failure(error, undefined)
    }
  }

  /** The Core's own OpenAPI document: its version and what it offers. */
  async document (): Promise<unknown> {
    try {
      const answer = await this.#exchange({ method: 'GET', path: '/openapi.json', headers: {} }, this.#shortly)
      if (answer.status !== 200) throw new ApiError('core_error', 'the MUXI Core shows no /openapi.json', { cause: `status ${answer.status}` })
      return parseAnswer(answer.text)
    } catch (error) {
      throw this.#failure(error, undefined)
    }
  }

  /** Whether the Core answers at all; throws what keeps it from it. */
  async ping (): Promise<void> {
    try {
      const { status } = await this.#exchange({ method: 'GET', path: '/v1/health', headers: {} }, this.#shortly)
      if (status !== 200) throw new ApiError('core_error', `the MUXI Core's /v1/health answers ${status}`)
    } catch (error) {
      throw this.#failure(error, undefined)
    }
  }

  async close (): Promise<void> {
    await Promise.all([this.#calls.destroy(), this.#streams.destroy()])
  }

  /** For what the Core has at hand: whoever waits for a verdict or a check must not wait for a Core that hangs. */
  get #shortly (): number {
    return Math.min(shortMs, this.#settings.timeout_ms)
  }

  async #call<T> (method: Dispatcher.HttpMethod, path: string, body: unknown, options: CallOptions): Promise<T> {
    const { headers, own } = this.#headers(path, options)
    const request: Exchange = { method, path: `/v1${path}`, headers, signal: options.signal }
    if (body !== undefined) {
      request.body = JSON.stringify(body)
      headers['content-type'] = 'application/json'
    }
    try {
      return dataOf<T>(await this.#exchange(request), { what: options.what, own })
    } catch (error) {
      throw this.#failure(error, options.signal)
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

  async #exchange (request: Exchange, timeout = this.#settings.timeout_ms): Promise<Answer> {
    const bounds = { most: this.#settings.max_answer, timeout }
    const started = performance.now()
    let status = 0
    try {
      const answer = await withRetries(() => exchange(this.#calls, { ...request, path: this.#prefix + request.path }, bounds), {
        retries: this.#settings.retries, read: request.method === 'GET', signal: request.signal
      })
      status = answer.status
      return answer
    } finally {
      this.#observer.onCall({ method: request.method, route: routeOf(request.path.startsWith('/v1/') ? request.path.slice(3) : request.path), status, seconds: (performance.now() - started) / 1_000 })
    }
  }

  /** What a failure means to the caller. The address stays in the cause, for the log. */
  #failure (error: unknown, signal: Leaving | undefined): unknown {
    if (error instanceof ApiError) return error
    if (signal?.aborted === true) return new ApiError('request_timeout', 'the caller went away')
    if (/^UND_ERR_(?:HEADERS|BODY)_TIMEOUT$/.test(codeOf(error))) return new ApiError('core_timeout', 'the MUXI Core went silent', { cause: error })
    if ((error as Error).name === 'HTTPParserError') return new ApiError('core_error', 'the MUXI Core gave an answer that cannot be used', { cause: error })
    if (!isNetworkFailure(error)) return error
    const away = new ApiError('core_unavailable', 'the MUXI Core cannot be reached', { cause: error, retryAfter: 1 })
    this.#observer.onAway(away)
    return away
  }
}
