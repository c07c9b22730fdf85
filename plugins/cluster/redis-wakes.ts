import type { Redis } from 'ioredis'

const watchMs = 5_000

/** Wakes by Redis pub/sub, over one connection of their own that is opened when first somebody listens. */
export function createWakes (client: Redis): { add: (channel: string, wake: () => void) => () => void, close: () => Promise<void> } {
  const wakes = new Map<string, Set<() => void>>()
  let subscriber: Redis | undefined
  let watch: NodeJS.Timeout | undefined
  let closed = false

  const wakeAll = (channel: string) => { for (const wake of wakes.get(channel) ?? []) wake() }

  /** Messages that came before the subscription, or while there was no connection, are made up for by one wake. */
  const subscribe = (connection: Redis, channels: string[]) => {
    if (channels.length === 0 || connection.status !== 'ready') return
    connection.subscribe(...channels).then(
      () => { for (const channel of channels) wakeAll(channel) },
      () => { if (connection.status === 'ready') connection.disconnect(true) }
    )
  }

  const open = () => {
    // It subscribes anew by itself: the package's way would fail unheard where a subscription is not answered.
    const connection = client.duplicate({ enableOfflineQueue: false, autoResubscribe: false, lazyConnect: false })
    connection.on('error', () => {}) // it tries again; who listens looks from time to time anyway
    connection.on('ready', () => { subscribe(connection, [...wakes.keys()]) })
    connection.on('message', wakeAll)
    // A connection whose other end is gone without a word is silent, as one is where nothing happens: to what is asked an answer is missed (`socketTimeout`).
    watch = setInterval(() => {
      if (connection.status === 'ready') connection.ping().catch(() => {})
    }, watchMs)
    watch.unref()
    return connection
  }

  return {
    add: (channel, wake) => {
      if (closed) return () => {}
      const own = () => { wake() }
      const known = wakes.get(channel)
      if (known === undefined) wakes.set(channel, new Set([own]))
      else known.add(own)
      if (subscriber === undefined) subscriber = open()
      else if (known === undefined) subscribe(subscriber, [channel])
      return () => {
        const present = wakes.get(channel)
        if (present?.delete(own) !== true || present.size > 0) return
        wakes.delete(channel)
        if (subscriber?.status === 'ready') subscriber.unsubscribe(channel).catch(() => {})
      }
    },
    close: async () => {
      closed = true
      clearInterval(watch)
      wakes.clear()
      subscriber?.disconnect()
    }
  }
}
