import { randomBytes } from 'node:crypto'
import type { Result } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import { ApiError } from '../../../errors.ts'
import { Rolls, closed, opened, type Shared } from './rolls.ts'

export interface Fault { code: number, message: string, data?: unknown }
export type Status = 'working' | 'input_required' | 'completed' | 'failed' | 'cancelled'

/** What all instances know of a task; what it came to is kept beside it. */
export interface Task {
  id: string
  /** Whose it is. */
  owner: string
  /** The instance that works on it. */
  by: string
  /** The session that it was made in. */
  session?: string | undefined
  status: Status
  statusMessage?: string
  createdAt: number
  updatedAt: number
  ttlMs: number
  /** Why it failed. */
  error?: Fault
  /** What it asks its client, and what that has answered. */
  asked?: Record<string, unknown>
  answers?: Record<string, unknown>
}

/** `onStatus` hears of each change of a status that is made here; `now` is a clock in ms since 1970. */
interface Options { onStatus?: (task: Task) => void, now?: () => number }
type Owner = Pick<FastifyRequest, 'caller' | 'userId'>

export const mostRunning = 100
const mostKept = 1_000
const pageSize = 100
const wakes = { most: 1, ttlMs: 60_000, lifeMs: 120_000 }

export const isOver = ({ status }: Pick<Task, 'status'>): boolean => status !== 'working' && status !== 'input_required'

/** The tasks of all callers, at whatever instance they run: each belongs to its caller, and is gone when its time is over. */
export class Records {
  readonly #shared: Shared
  readonly #rolls: Rolls
  readonly #onStatus: (task: Task) => void
  readonly #now: () => number

  constructor (shared: Shared, { onStatus = () => {}, now = Date.now }: Options = {}) {
    this.#shared = shared
    this.#rolls = new Rolls(shared, now)
    this.#onStatus = onStatus
    this.#now = now
  }

  /** Notes a task that begins at this instance, under an id that cannot be guessed. Throws `rate_limited` where its caller has too many. */
  async open (request: Owner, { ttlMs, session }: Pick<Task, 'ttlMs' | 'session'>): Promise<Task> {
    const { cluster } = this.#shared
    const now = this.#now()
    const owner = ownerOf(request)
    const task: Task = { id: `mct_${randomBytes(18).toString('base64url')}`, owner, by: cluster.id, session, status: 'working', createdAt: now, updatedAt: now, ttlMs }
    const members = await cluster.members()
    await this.#rolls.change(owner, (lines) => {
      // What an instance worked on that is there no more takes no place.
      const running = lines.filter(({ by, isOver: over }) => over !== true && members.includes(by)).length
      if (running >= mostRunning) throw new ApiError('rate_limited', `${running} tasks run already: wait for one of them, or cancel one`, { retryAfter: 1 })
      if (lines.length >= mostKept) throw new ApiError('rate_limited', `${lines.length} tasks are kept already: each is forgotten when its time is over`, { retryAfter: 60 })
      return [...lines, { id: task.id, by: task.by, endsAt: now + ttlMs }]
    })
    await cluster.set(keyOf(task.id), closed(this.#shared, keyOf(task.id), task), ttlMs)
    return task
  }

  /** The task of that id and that caller; undefined for any other, and for one whose time is over. */
  async find (id: string, request: Owner): Promise<Task | undefined> {
    const task = await this.read(id)
    return task?.owner === ownerOf(request) ? task : undefined
  }

  /** Whosever it is. */
  async read (id: string): Promise<Task | undefined> {
    const task = opened<Task>(this.#shared, keyOf(id), await this.#shared.cluster.get(keyOf(id)))
    return task !== undefined && task.createdAt + task.ttlMs > this.#now() ? task : undefined
  }

  /** Changes one that is not over yet, whoever else changes it at the same time, and tells who follows it; what it is then. One that is over stays as it is, and one that is gone is undefined. */
  async change (id: string, change: (task: Task) => void): Promise<{ task: Task, isChanged: boolean } | undefined> {
    const { cluster } = this.#shared
    const key = keyOf(id)
    for (;;) {
      const value = await cluster.get(key)
      const task = opened<Task>(this.#shared, key, value)
      if (task === undefined) return undefined
      if (isOver(task)) return { task, isChanged: false }
      const { status } = task
      change(task)
      task.updatedAt = this.#now()
      const leftMs = task.createdAt + task.ttlMs - task.updatedAt
      if (leftMs <= 0) return undefined
      if (!await cluster.set(key, closed(this.#shared, key, task), leftMs, { value })) continue
      // How far it is nobody waits for.
      if (status !== task.status) {
        this.#onStatus(task)
        await this.#wake(id).catch(() => {})
      }
      // Where that fails it counts until its time is over.
      if (isOver(task)) await this.#rolls.change(task.owner, (lines) => lines.map((line) => line.id === id ? { ...line, isOver: true } : line)).catch(() => {})
      return { task, isChanged: true }
    }
  }

  /** Keeps what a task came to for as long as the task; where room is short, for less. */
  async keepResult ({ id, createdAt, ttlMs }: Task, result: Result): Promise<void> {
    const leftMs = createdAt + ttlMs - this.#now()
    if (leftMs > 0) await this.#shared.cluster.keep(`${keyOf(id)}:result`, closed(this.#shared, `${keyOf(id)}:result`, result), leftMs)
  }

  async result (id: string): Promise<Result | undefined> {
    return opened<Result>(this.#shared, `${keyOf(id)}:result`, await this.#shared.cluster.get(`${keyOf(id)}:result`))
  }

  /** The tasks of a caller in the order in which they were made, from after one of them on; `next` where there are more. undefined: that one is none of them. */
  async list (request: Owner, after?: string): Promise<{ tasks: Task[], next?: string } | undefined> {
    const lines = await this.#rolls.read(ownerOf(request))
    const start = after === undefined ? 0 : lines.findIndex(({ id }) => id === after) + 1
    if (after !== undefined && start === 0) return undefined
    const page = lines.slice(start, start + pageSize)
    const tasks = (await Promise.all(page.map(async ({ id }) => await this.read(id)))).filter((task) => task !== undefined)
    const last = page.at(-1)
    return { tasks, ...(last !== undefined && start + page.length < lines.length && { next: last.id }) }
  }

  /** Calls `wake` when a task may have changed, at least so often; answers the function that lets go. */
  follow (id: string, wake: () => void, everyMs: number): () => void {
    const letGo = this.#shared.cluster.onAppend(keyOf(id), wake)
    const timer = setInterval(wake, everyMs).unref()
    return () => {
      letGo()
      clearInterval(timer)
    }
  }

  async #wake (id: string): Promise<void> {
    await this.#shared.cluster.append(keyOf(id), { id: randomBytes(9).toString('base64url'), items: [{ nonce: '-', text: '' }] }, wakes)
  }
}

function keyOf (id: string): string { return `mcp:task:${id}` }

/** A key may serve many users: what one of them has begun is not another's. */
function ownerOf (request: Owner): string {
  return `${request.caller.digest} ${request.userId()}`
}
