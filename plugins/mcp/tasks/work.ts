import { setTimeout as sleep } from 'node:timers/promises'
import { ProtocolError, ProtocolErrorCode, type CallToolResult, type ClientCapabilities, type InputRequiredResult } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import { failed } from '../agents/results.ts'
import { isOver, type Fault, type Records, type Task } from './records.ts'
import { asks, type Run } from './run.ts'
import { faultOf } from './wire.ts'

type Outcome = Promise<CallToolResult | InputRequiredResult | undefined>
/** A call that has become a task. `can`: what its client can be asked; `tellsPieces`: what it tells are pieces of its answer. */
interface Job { task: Task, run: Run, outcome: Outcome, request: FastifyRequest, can: ClientCapabilities, tellsPieces: boolean }
interface Held { run: Run, look: () => void }

const mostBytes = 1_048_576
/** Wakes may be lost. */
export const pollMs = 2_000
const progressMs = 1_000
const attempts = 20
const closeMs = 1_000
const stopped: Fault = { code: -32_000, message: 'the server stopped before the tool was done: whether it was done is not known; look before you call again' }
const expiredKey: Fault = { code: -32_000, message: 'the key is valid no more' }

/** Ends a task without a result. */
export const fail = (error: Fault) => (task: Task): void => { Object.assign(task, { status: 'failed', statusMessage: error.message, error, asked: undefined } satisfies Partial<Record<keyof Task, unknown>>) }

/** The tasks that run at this instance. */
export class Work {
  readonly #records: Records
  readonly #running = new Map<string, Held>()
  #onIdle: (() => void)[] = []

  constructor (records: Records) { this.#records = records }

  /** Sees to a task until it is over, whoever ends it. Its request may end meanwhile, but not its key. */
  begin (job: Job): void {
    const { task: { id, ttlMs }, run, request, tellsPieces } = job
    let answered = (_?: Record<string, unknown>) => {}
    const look = async () => {
      const now = await this.#records.read(id)
      if (now === undefined || isOver(now)) {
        run.end()
        answered()
      } else if (now.status === 'working' && now.answers !== undefined) answered(now.answers)
    }
    const lookSoon = () => { look().catch(() => {}) }
    const expiry = setTimeout(lookSoon, ttlMs + 50).unref()
    const letGo = [this.#records.follow(id, lookSoon, pollMs), request.whileAllowed(() => { this.#end(id, run, fail(expiredKey)).catch(() => {}) }), () => { clearTimeout(expiry) }]
    this.#running.set(id, { run, look: lookSoon })
    let toldAt = -Infinity
    run.onProgress = (message, written) => {
      if (performance.now() - toldAt < progressMs) return
      toldAt = performance.now()
      this.#records.change(id, (now) => { now.statusMessage = tellsPieces ? `${written} characters of the answer so far` : message }).catch(() => {})
    }
    run.letGo()
    const waiting = async () => await new Promise<Record<string, unknown> | undefined>((resolve) => {
      answered = resolve
      lookSoon()
    })
    this.#see(job, waiting).catch((error: unknown) => { request.log.error({ err: error }, 'what a task came to could not be kept') }).finally(() => {
      for (const go of letGo) go()
      this.#running.delete(id)
      if (this.#running.size === 0) for (const idle of this.#onIdle.splice(0)) idle()
    })
  }

  /** Resolves when none runs here. */
  async idle (): Promise<void> {
    if (this.#running.size > 0) await new Promise<void>((resolve) => { this.#onIdle.push(resolve) })
  }

  /** Ends all, and says so of each. */
  async close (): Promise<void> {
    if (this.#running.size === 0) return
    await Promise.all([...this.#running].map(async ([id, { run }]) => { await this.#end(id, run, fail(stopped)).catch(() => {}) }))
    await Promise.race([this.idle(), sleep(closeMs, undefined, { ref: false })])
  }

  async #see ({ task: { id }, task, run, outcome, can }: Job, waiting: () => Promise<Record<string, unknown> | undefined>): Promise<void> {
    for (;;) {
      try {
        const result = await outcome
        if (result === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'there is no such tool')
        if (!asks(result)) {
          await this.#complete(task, result)
          return
        }
        const asked = run.questionsOf(result, can)
        await this.#records.change(id, (now) => { Object.assign(now, { status: 'input_required', asked, answers: undefined }) })
      } catch (error) {
        await this.#settle(id, fail(faultOf(error)))
        return
      }
      const answers = await waiting()
      if (answers === undefined) return
      outcome = run.start(answers)
      outcome.catch(() => {})
    }
  }

  async #complete (task: Task, result: CallToolResult): Promise<void> {
    const bytes = Buffer.byteLength(JSON.stringify(result))
    const kept = bytes <= mostBytes ? result : failed(`the answer is too large for a task (${bytes} bytes, ${mostBytes} at most): ask for less, or call without a task`)
    await insist(async () => { await this.#records.keepResult(task, kept) })
    await this.#settle(task.id, (now) => {
      now.status = 'completed'
      delete now.statusMessage
    })
  }

  async #end (id: string, run: Run, change: (task: Task) => void): Promise<void> {
    // First, so that what the tool says when it ends comes too late.
    await this.#records.change(id, change).finally(() => { run.end() })
    this.#running.get(id)?.look()
  }

  async #settle (id: string, change: (task: Task) => void): Promise<void> {
    await insist(async () => { await this.#records.change(id, change) })
  }
}

/** What a tool came to outlives a while without the store. */
async function insist (work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await work()
      return
    } catch (error) {
      if (attempt === attempts) throw error
      await sleep(1_000, undefined, { ref: false })
    }
  }
}
