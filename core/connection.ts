import { ApiError } from '../errors.ts'
import { capabilities, routesIn, type Capability } from './capabilities.ts'
import type { CoreClient } from './client.ts'
import type { Verdict } from './keys.ts'
import type { Config } from '../schemas/config.ts'

/** Told of what happens between this server and the Core, for the log. */
export interface Listener {
  onUp: (facts: { coreVersion: string, keys: string, missing: Capability[] }) => void
  onDown: (facts: { reason: string, nextCheckMs: number, attempt: number }) => void
}

const firstStep = 250
const lastStep = 1_500
const pulse = 10_000

/**
 * Knows whether the Core is there and what it offers. Checks at start, then again with growing steps
 * until it passes; afterwards every 10 s, and at once when a call fails.
 */
export class CoreConnection {
  state: 'starting' | 'up' | 'down' = 'starting'
  /** Why the Core does not serve; undefined when it does. */
  reason: string | undefined = 'the MUXI Core has not been checked yet'
  version: string | undefined
  /** How often the Core was found after it had been away: what is remembered of one may not hold for the next. */
  meetings = 0
  readonly #client: CoreClient
  readonly #settings: Config['core']
  readonly #listener: Listener
  #routes: Set<string> | undefined
  #checking: Promise<boolean> | undefined
  #timer: NodeJS.Timeout | undefined
  #attempts = 0
  #closed = false

  constructor (client: CoreClient, settings: Config['core'], listener: Listener) {
    this.#client = client
    this.#settings = settings
    this.#listener = listener
  }

  /** Whether this Core has what the operation needs; yes while that is not known. */
  offers (capability: Capability): boolean {
    return this.#routes?.has(capabilities[capability]) ?? true
  }

  /** Throws the 501 that names what this Core lacks. */
  require (capability: Capability): void {
    if (!this.offers(capability)) throw new ApiError('not_implemented', `this MUXI Core does not offer ${capability}`, { details: { capability } })
  }

  /** What the Core was found not to offer. */
  get missing (): Capability[] {
    // The keys of the table are the capabilities.
    return (Object.keys(capabilities) as Capability[]).filter((capability) => !this.offers(capability))
  }

  /** Introspection needs the Core's route and our admin key; without either the two static keys are probed. */
  get keysBy (): 'introspection' | 'probing' {
    return this.#settings.admin_key !== undefined && this.#routes?.has(capabilities['auth.introspect']) === true ? 'introspection' : 'probing'
  }

  /** The level of a key; asks what the Core offers first, when that is not known yet. */
  async accessOf (key: string): Promise<Verdict | undefined> {
    // While the Core is known to be away its next check is on the clock: requests bring it no nearer.
    if (this.#routes === undefined && (this.state === 'down' || !await this.check())) throw new ApiError('core_unavailable', 'the MUXI Core cannot be reached', { cause: this.reason, retryAfter: 1 })
    return await this.#client.accessOf(key, this.keysBy)
  }

  /** Checks now (once at a time): reachable, version, capabilities, our own keys. Answers whether all is well. */
  async check (): Promise<boolean> {
    this.#checking ??= this.#check().finally(() => { this.#checking = undefined })
    return await this.#checking
  }

  /** How long the Core takes for the smallest answer, in ms; undefined when there is none. */
  async latency (): Promise<number | undefined> {
    const started = performance.now()
    try {
      await this.#client.ping()
      return performance.now() - started
    } catch {
      return undefined
    }
  }

  close (): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  async #check (): Promise<boolean> {
    clearTimeout(this.#timer)
    try {
      await this.#client.ping()
      if (this.state !== 'up') await this.#learn()
      this.reason = undefined
      this.#attempts = 0
      this.#again(pulse)
      return true
    } catch (error) {
      this.state = 'down'
      this.reason = reasonOf(error)
      const step = Math.min(lastStep, firstStep * 2 ** this.#attempts++)
      if (!this.#closed) this.#listener.onDown({ reason: this.reason, nextCheckMs: step, attempt: this.#attempts })
      this.#again(step)
      return false
    }
  }

  async #learn (): Promise<void> {
    const document = await this.#client.document()
    const version = (document as { info?: { version?: unknown } } | null)?.info?.version
    const routes = routesIn(document)
    if (typeof version !== 'string' || !routes.has(capabilities.chat)) throw new ApiError('core_error', 'what answers there is no MUXI Core')
    for (const [name, key, access] of [['MUXI_CORE_ADMIN_KEY', this.#settings.admin_key, 'admin'], ['MUXI_CORE_CLIENT_KEY', this.#settings.client_key, 'user']] as const) {
      if (key !== undefined && (await this.#client.accessOf(key, 'probing'))?.access !== access) throw new ApiError('core_error', `the MUXI Core refuses ${name}`)
    }
    this.#routes = routes
    this.version = version
    this.state = 'up'
    this.meetings++
    this.#listener.onUp({ coreVersion: version, keys: this.keysBy, missing: this.missing })
  }

  #again (ms: number): void {
    if (this.#closed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => { this.check().catch(() => {}) }, ms)
    this.#timer.unref()
  }
}

function reasonOf (error: unknown): string {
  const { message, cause } = error as { message: string, cause?: { code?: unknown } }
  return typeof cause?.code === 'string' ? `${message} (${cause.code})` : message
}
