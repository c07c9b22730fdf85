import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo, LookupFunction, Server } from 'node:net'
import { test as base } from 'vitest'
import { CoreClient, type Observer } from '../../core/client.ts'
import type { Actor } from '../../core/credentials.ts'
import { type EmbeddedCore, type EmbeddedCoreOptions, startEmbeddedCore } from '../../core/embedded/index.ts'
import type { CoreCalls } from '../../core/types.ts'
import { configFor, keys } from '../app.ts'

export const admin: Actor = { key: keys.admin, access: 'admin' }
export const user: Actor = { key: keys.user, access: 'user' }

/** A client as the parts of core/ use it: on behalf of one caller. */
export const callsOf = (client: CoreClient, caller: Actor): CoreCalls => ({
  get: async (path, options) => await client.get(path, { ...options, caller }),
  post: async (path, body, options) => await client.post(path, body, { ...options, caller }),
  patch: async (path, body, options) => await client.patch(path, body, { ...options, caller }),
  delete: async (path, options) => await client.delete(path, { ...options, caller })
})

/** What a client told its observer. */
export interface Seen { calls: Parameters<Observer['onCall']>[0][], malformed: number, away: string[], retries: string[], breaker: string[], refused: number }

interface Fixtures {
  options: EmbeddedCoreOptions
  core: EmbeddedCore
  seen: Seen
  /** a client of the Core at an address; without one, of the embedded Core */
  connect: (settings?: Record<string, string>, url?: string, lookup?: LookupFunction) => CoreClient
  client: CoreClient
  /** a server that answers as the listener says, in place of a Core */
  serve: (listener: RequestListener) => Promise<string>
}

/** A test with a client of the Core. */
export const test = base.extend<Fixtures>({
  options: [{}, { injected: false }],
  core: async ({ options }, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin, ...options })
    await use(core)
    await core.close()
  },
  seen: async ({}, use) => { await use({ calls: [], malformed: 0, away: [], retries: [], breaker: [], refused: 0 }) },
  connect: async ({ core, seen }, use) => {
    const clients: CoreClient[] = []
    await use((settings, url = core.url, lookup) => {
      const client = new CoreClient(configFor({ url }, settings).core, {
        onCall: (call) => { seen.calls.push(call) },
        onMalformed: () => { seen.malformed++ },
        onAway: ({ code }) => { seen.away.push(code) },
        onRetry: (outcome) => { seen.retries.push(outcome) },
        onBreaker: ({ name }, state) => { seen.breaker.push(`${name} ${state}`) },
        onRefused: () => { seen.refused++ }
      }, lookup)
      clients.push(client)
      return client
    })
    for (const client of clients) await client.close()
  },
  client: async ({ connect }, use) => { await use(connect()) },
  serve: async ({}, use) => {
    const servers: { close: () => unknown, closeAllConnections: () => void }[] = []
    await use(async (listener) => {
      const server = createServer(listener)
      servers.push(server)
      return await listening(server)
    })
    for (const server of servers) {
      server.closeAllConnections()
      server.close()
    }
  }
})

/** The address of a server, once it listens on a free port of this machine. */
export async function listening (server: Server): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What a failing promise failed with. */
export async function failureOf (promise: Promise<unknown>): Promise<{ code: string, statusCode: number, message: string, retryAfter?: number, details?: Record<string, unknown>, cause?: unknown }> {
  return await promise.then((value) => { throw new Error(`it did not fail: ${JSON.stringify(value)}`) }, (error) => error)
}

/** All that an iterable gives, and what it ended with. */
export async function collected<T> (iterable: AsyncIterable<T>): Promise<{ items: T[], error?: unknown }> {
  const items: T[] = []
  try {
    for await (const item of iterable) items.push(item)
  } catch (error) {
    return { items, error }
  }
  return { items }
}
