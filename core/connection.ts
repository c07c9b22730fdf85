import { ApiError } from '../errors.ts'
import { capabilities, type Capability } from './capabilities.ts'
import type { CoreClient } from './client.ts'
import { examine, reasonOf, type Facts } from './examination.ts'
import { Homecoming } from './homecoming.ts'
import type { Verdict } from './keys.ts'
import type { CoreTarget } from './target.ts'
import type { CoreWays } from './types.ts'
import type { Config } from '../schemas/config.ts'

/** Told of what happens between this server and the Core, for the log. */
export interface Listener {
  onUp: (facts: { coreVersion: string, keys: string, missing: Capability[] }) => void
  onDown: (facts: { reason: string, nextCheckMs: number, attempt: number }) => void
  /** Calls go to another address from now on. */
  onSwitch: (facts: { from: CoreTarget, to: CoreTarget, reason: string }) => void
}

const firstStep = 250
const lastStep = 1_500
const pulse = 10_000

/**
 * Knows whether the Core is there and what it offers. Checks at start, then again with growing steps
 * until it passes; afterwards every 10 s, and at once when a call fails. Of several addresses it uses the first that passes.
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
  readonly #homecoming = new Homecoming()
  #routes: Set<string> | undefined
  #checking: Promise<boolean> | undefined
  #timer: NodeJS.Timeout | undefined
  #attempts = 0
  #failovers = 0
  #closed = false

  constructor (client: CoreClient, settings: Config['core'], listener: Listener) {
    this.#client = client
    this.#settings = settings
    this.#listener = listener
  }

  /** Where calls go. */
  get target (): CoreTarget {
    return this.#client.transport.current
  }

  /** The ways to the Core and how they do, for `system_status_get`. */
  get ways (): CoreWays {
    const { targets, current, budget, retries, refused } = this.#client.transport
    return {
      host: current.host,
      in_use: current.name,
      addresses: targets.map(({ name, host, breaker, use }) => ({ name, host, breaker: breaker.state, breaker_opened: breaker.opened, connections: use })),
      retries: { ...retries, left: budget.left },
      refused,
      failovers: this.#failovers
    }
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
    const { target: used } = this
    const faults = new Map<CoreTarget, string>()
    let answers = false
    if (this.state === 'up') {
      const fault = await this.#look(used)
      answers = fault === undefined
      if (answers && used.breaker.state === 'closed') {
        await this.#goHome()
        return this.#passed()
      }
      faults.set(used, fault ?? 'the MUXI Core fails too often')
    }
    for (const target of this.#client.transport.targets) {
      if (faults.has(target)) continue
      const fault = await this.#take(target, faults.get(used))
      if (fault === undefined) return this.#passed()
      faults.set(target, fault)
    }
    // With nowhere else to go it is used still, as far as its breaker lets calls in.
    return answers ? this.#passed() : this.#failed(faults)
  }

  #passed (): true {
    this.reason = undefined
    this.#attempts = 0
    this.#again(pulse)
    return true
  }

  #failed (faults: Map<CoreTarget, string>): false {
    this.state = 'down'
    const reasons = [...faults].map(([{ name }, reason]) => faults.size === 1 ? reason : `${name}: ${reason}`)
    this.reason = reasons.join('; ')
    // A Core that said when to come again is not asked before.
    const quiet = Math.min(...[...faults.keys()].map(({ quietUntil }) => quietUntil)) - performance.now()
    const step = Math.max(Math.min(lastStep, firstStep * 2 ** this.#attempts++), Math.ceil(quiet))
    if (!this.#closed) this.#listener.onDown({ reason: this.reason, nextCheckMs: step, attempt: this.#attempts })
    this.#again(step)
    return false
  }

  /** Whether the Core that is known already still answers: undefined, or why not. */
  async #look (target: CoreTarget): Promise<string | undefined> {
    try {
      if (target.quietUntil <= performance.now()) await this.#client.ping(target)
      target.breaker.proven()
      return undefined
    } catch (error) {
      return reasonOf(error)
    }
  }

  /** Looks at a Core in full and uses it, or tells why not: another may offer more or less. */
  async #take (target: CoreTarget, because = 'it is the first that passes'): Promise<string | undefined> {
    try {
      if (target.quietUntil > performance.now()) return 'the MUXI Core is overloaded and asked to be left alone'
      this.#use(target, await examine(this.#client, this.#settings, target), because)
      return undefined
    } catch (error) {
      return reasonOf(error)
    }
  }

  /** In one step, so that no call meets one Core with what is known of another. */
  #use (to: CoreTarget, { version, routes }: Facts, reason: string): void {
    const { transport } = this.#client
    const from = transport.current
    transport.current = to
    this.#routes = routes
    this.version = version
    this.state = 'up'
    this.meetings++
    to.breaker.close()
    if (from !== to) {
      this.#failovers++
      this.#homecoming.moved(transport.targets.indexOf(from), transport.targets.indexOf(to))
      this.#listener.onSwitch({ from, to, reason })
    }
    this.#listener.onUp({ coreVersion: version, keys: this.keysBy, missing: this.missing })
  }

  /** Back to an address that stands earlier in the settings, once it has passed often enough. */
  async #goHome (): Promise<void> {
    const { targets } = this.#client.transport
    for (const target of targets.slice(0, targets.indexOf(this.target))) {
      const fault = await this.#look(target)
      if (this.#homecoming.isDue(target, fault === undefined) && await this.#take(target, 'it passes its checks again') === undefined) return
    }
  }

  #again (ms: number): void {
    if (this.#closed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => { this.check().catch(() => {}) }, ms)
    this.#timer.unref()
  }
}
