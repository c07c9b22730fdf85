import { test as base } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../app.ts'
import { loadConfig, type Config } from '../config.ts'
import { startEmbeddedCore, type EmbeddedCore } from '../core/embedded/index.ts'

export const keys = { user: 'sk_muxi_user_testuser0000000000000000', admin: 'sk_muxi_admin_testadmin00000000000000' } as const

/** The header of a key by its level. */
export const as = (level: keyof typeof keys) => ({ authorization: `Bearer ${keys[level]}` })

/** The lines that a server logged, parsed. */
export class Lines {
  readonly all: Record<string, unknown>[] = []
  write (text: string): void {
    for (const line of text.split('\n').filter(Boolean)) this.all.push(JSON.parse(line) as Record<string, unknown>)
  }

  /** The lines of one request, once it has ended. */
  of (requestId: unknown): Record<string, unknown>[] {
    return this.all.filter((line) => line.requestId === requestId)
  }
}

/** Settings for a test: no file, no environment, bad keys without number, the given ones on top. */
export function configFor (core: Pick<EmbeddedCore, 'url'>, settings: Record<string, string> = {}): Readonly<Config> {
  const env = { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_PORT: '0', MUXI_API_KEY_ATTEMPTS: '0', ...settings }
  return loadConfig({ env, cwd: '/nonexistent' }).config
}

interface Fixtures { settings: Record<string, string>, offers: 'all' | 'real', core: EmbeddedCore, lines: Lines, app: FastifyInstance, url: string }

/** A server in front of an embedded Core of its own; `test.override({ settings })` changes its settings. */
export const test = base.extend<Fixtures>({
  settings: {},
  offers: 'all',
  core: async ({ offers }, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin, offers })
    await use(core)
    await core.close()
  },
  lines: async ({}, use) => { await use(new Lines()) },
  app: async ({ core, lines, settings }, use) => {
    const app = await buildApp(configFor(core, settings), lines)
    await app.ready()
    await app.core.check()
    await use(app)
    await app.close()
  },
  /** The same server on a real port. */
  url: async ({ app }, use) => { await use(await app.listen({ host: '127.0.0.1', port: 0 })) }
})

export interface Shared { core: EmbeddedCore, lines: Lines, app: FastifyInstance, url: string }

/** One server for a whole file, on a real port, without limits and without starting programs. */
export const sharedWith = (settings: Record<string, string> = {}) => base.extend<Shared>({
  core: [async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    await use(core)
    await core.close()
  }, { scope: 'file' }],
  lines: [async ({}, use) => { await use(new Lines()) }, { scope: 'file' }],
  app: [async ({ core, lines }, use) => {
    const free = { MUXI_API_MCP_COMMANDS: 'false', MUXI_API_RATE_LIMIT: '0', MUXI_API_RATE_LIMIT_MCP: '0' }
    const app = await buildApp(configFor(core, { ...free, ...settings }), lines)
    await app.ready()
    await app.core.check()
    await use(app)
    await app.close()
  }, { scope: 'file' }],
  url: [async ({ app }, use) => { await use(await app.listen({ host: '127.0.0.1', port: 0 })) }, { scope: 'file' }]
})
