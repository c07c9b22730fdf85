import { randomBytes } from 'node:crypto'
import type { ServerEvent, ServerEventBus } from '@modelcontextprotocol/server'
import type { FastifyInstance } from 'fastify'

/** What is another than before: a list, or one resource. */
export type Change = { kind: 'tools' | 'prompts' | 'resources' } | { kind: 'resource', uri: string }

export interface Changes {
  /** Tells all instances, soon; the same change twice at once is told once. */
  publish: (change: Change) => void
  /** Hears of what changes from now on, at whatever instance; answers the function that lets go. Where something may have been missed, every list is said to have changed. */
  follow: (listener: (change: Change) => void) => () => void
  /** Sends what is not sent yet, and tells nobody any more. */
  close: () => Promise<void>
}

type Shared = Pick<FastifyInstance, 'cluster' | 'seal' | 'log'>

/** The topic of all changes. Its items are read with `changeIn`. */
export const changesTopic = 'mcp-changes'
/** What to say where entries of the topic were dropped unread, or its epoch is another. */
export const everyList: readonly Change[] = [{ kind: 'tools' }, { kind: 'prompts' }, { kind: 'resources' }]

const kept = { most: 1_000, ttlMs: 600_000 }
/** A busy server has many chats a second: they are told together. */
const togetherMs = 50
/** Wakes may be lost. */
const pollMs = 1_000

/** The change that an item of the topic tells of; undefined where that is none. */
export function changeIn ({ text }: { readonly text: string }, seal: Shared['seal']): Change | undefined {
  const opened = seal.open(text, changesTopic)
  return opened === undefined ? undefined : JSON.parse(opened) as Change
}

/** The changes of all instances, over one topic of the cluster; where that is away, those of this one. */
export function createChanges ({ cluster, seal, log }: Shared): Changes {
  const listeners = new Set<(change: Change) => void>()
  const waiting = new Map<string, Change>()
  let sending: NodeJS.Timeout | undefined
  let seen: { epoch: string, seq: number } | undefined
  let reading: Promise<void> | undefined
  let isNews = false
  let isLate = false
  let stop: (() => void) | undefined
  let closed = false

  const tell = (change: Change) => {
    for (const listener of [...listeners]) {
      try {
        listener(change)
      } catch (err) {
        log.warn({ err }, 'a change could not be told to a client of MCP')
      }
    }
  }
  const tellAll = () => { for (const change of everyList) tell(change) }

  const look = async () => {
    const { epoch, seq, first, entries } = await cluster.look(changesTopic, { from: seen === undefined ? -1 : seen.seq + 1, most: kept.most })
    if (stop === undefined) return
    const before = seen
    seen = { epoch, seq: before === undefined || epoch !== before.epoch ? seq : entries.at(-1)?.seq ?? seq }
    isNews ||= seen.seq < seq
    if (before === undefined) {
      if (isLate) tellAll()
    } else if (epoch !== before.epoch || first > before.seq + 1) tellAll()
    else {
      for (const { item } of entries) {
        const change = changeIn(item, seal)
        if (change !== undefined) tell(change)
      }
    }
    isLate = false
  }
  const readAll = async () => {
    try {
      // Another look where another wake came meanwhile.
      while (isNews) {
        isNews = false
        await look()
      }
    } catch {
      // The cluster is away: told by others. What is missed meanwhile is made good at the next look.
      isLate = seen === undefined
    }
  }
  const read = async () => {
    isNews = true
    reading ??= readAll().finally(() => { reading = undefined })
    await reading
  }

  const send = async () => {
    clearTimeout(sending)
    sending = undefined
    const changes = [...waiting.values()]
    waiting.clear()
    if (changes.length === 0) return
    try {
      // Who follows here has begun before, so that it hears of these.
      if (seen === undefined) await reading
      const items = changes.map((change) => ({ nonce: '-', text: seal.close(JSON.stringify(change), changesTopic) }))
      await cluster.append(changesTopic, { id: randomBytes(9).toString('base64url'), items }, kept)
    } catch {
      for (const change of changes) tell(change)
    }
  }

  return {
    publish: (change) => {
      if (closed) return
      waiting.set(JSON.stringify(change), change)
      sending ??= setTimeout(() => { send().catch(() => {}) }, togetherMs)
    },
    follow: (listener) => {
      const own = (change: Change) => { listener(change) }
      listeners.add(own)
      if (stop === undefined) {
        const wake = () => { read().catch(() => {}) }
        const letGo = cluster.onAppend(changesTopic, wake)
        const poll = setInterval(wake, pollMs).unref()
        stop = () => {
          letGo()
          clearInterval(poll)
          seen = stop = undefined
        }
        wake()
      }
      return () => {
        if (listeners.delete(own) && listeners.size === 0) stop?.()
      }
    },
    close: async () => {
      closed = true
      await send()
      listeners.clear()
      stop?.()
    }
  }
}

/** The same as the SDK asks for it, for the subscriptions of revision 2026-07-28. */
export function busOf (changes: Pick<Changes, 'publish' | 'follow'>): ServerEventBus {
  return {
    publish: (event) => { changes.publish(changeOf(event)) },
    subscribe: (listener) => changes.follow((change) => { listener(eventOf(change)) })
  }
}

const kinds = { tools: 'tools_list_changed', prompts: 'prompts_list_changed', resources: 'resources_list_changed' } as const

function eventOf (change: Change): ServerEvent {
  return change.kind === 'resource' ? { kind: 'resource_updated', uri: change.uri } : { kind: kinds[change.kind] }
}

function changeOf (event: ServerEvent): Change {
  return event.kind === 'resource_updated' ? { kind: 'resource', uri: event.uri } : { kind: event.kind.slice(0, event.kind.indexOf('_')) as keyof typeof kinds }
}
