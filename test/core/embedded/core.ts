import { test as base } from 'vitest'
import { type EmbeddedCore, type EmbeddedCoreOptions, startEmbeddedCore } from '../../../core/embedded/index.ts'

interface Sent { method?: string, headers?: Record<string, string>, body?: unknown, signal?: AbortSignal }
type Send = (path: string, sent?: Sent) => Promise<Response>
interface Fixtures {
  options: EmbeddedCoreOptions
  core: EmbeddedCore
  /** sends a request with the admin key */
  asAdmin: Send
  /** sends a request with the client key, as alice */
  asAlice: Send
}

/** A test with a Core of its own. */
export const test = base.extend<Fixtures>({
  options: {},
  core: async ({ options }, use) => {
    const core = await startEmbeddedCore(options)
    await use(core)
    await core.close()
  },
  asAdmin: async ({ core }, use) => {
    await use((path, sent) => send(core.url + path, { 'x-muxi-admin-key': core.adminKey }, sent))
  },
  asAlice: async ({ core }, use) => {
    await use((path, sent) => send(core.url + path, { 'x-muxi-client-key': core.userKey, 'x-muxi-user-id': 'alice' }, sent))
  }
})

/** The frames of a finished chat stream. */
export async function tokensOf (res: Response): Promise<Record<string, unknown>[]> {
  const text = await res.text()
  return [...text.matchAll(/^data: (\{"token":.*\})$/gm)].map(([, json = '']) => (JSON.parse(json) as { token: Record<string, unknown> }).token)
}

/** The text that the content frames of a stream make. */
export function textOf (tokens: Record<string, unknown>[]): string {
  return tokens.filter(({ type }) => type === 'content').map(({ content }) => content).join('')
}

async function send (url: string, keys: Record<string, string>, { method, headers, body, signal }: Sent = {}): Promise<Response> {
  const isText = typeof body === 'string' || body instanceof URLSearchParams || body === undefined
  return await fetch(url, { method, signal, headers: { ...keys, ...headers }, body: isText ? body : JSON.stringify(body) })
}
