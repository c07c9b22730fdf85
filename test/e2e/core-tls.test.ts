import { execFile } from 'node:child_process'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startEmbeddedCore } from '../../core/embedded/index.ts'
import { keys } from '../app.ts'
import { freePort, installed, root, skipped, temporary, until } from './processes.ts'
import { RealCore, realCoreMissing, Server } from './real-core.ts'
import { Certificates, proxies } from './tls-proxies.ts'

const missing = installed('openssl') ? undefined : 'there is no openssl to make certificates with'

/** Starts a server that needs its Core; ends with its exit code and what it said last. */
async function exitOf (env: Record<string, string>): Promise<{ code: number, said: string }> {
  return await new Promise((resolve) => {
    const child = execFile(process.execPath, [join(root, 'dist/cli/index.js'), 'start', '--port', '0'], { cwd: '/', env: { PATH: process.env.PATH ?? '', ...env, MUXI_CORE_REQUIRED: 'true' }, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, said: stderr.trim().split('\n').at(-1) ?? String(error) })
    })
  })
}

describe.skipIf(skipped(missing))('a Core behind a proxy that demands a client certificate', () => {
  let folder: Awaited<ReturnType<typeof temporary>>
  let made: Certificates
  const all = {} as Record<'proxy' | 'expired' | 'renamed' | 'client' | 'strange' | 'past', { cert: string, key: string }>
  let ca = ''
  let otherCa = ''

  beforeAll(async () => {
    folder = await temporary()
    made = new Certificates(folder.path)
    ca = await made.signer('ca')
    otherCa = await made.signer('other')
    all.proxy = await made.leaf('proxy', 'ca', { dns: 'localhost' })
    all.expired = await made.leaf('expired', 'ca', { dns: 'localhost', days: -1 })
    all.renamed = await made.leaf('renamed', 'ca', { dns: 'core.example' })
    all.client = await made.leaf('client', 'ca')
    all.strange = await made.leaf('strange', 'other')
    all.past = await made.leaf('past', 'ca', { days: -1 })
  })
  afterAll(async () => { await folder[Symbol.asyncDispose]() })

  /** Runs with a proxy before a Core; gives the settings of a server that is let in. */
  async function behind (start: ReturnType<typeof proxies>[string], core: string, shown: { cert: string, key: string }, use: (env: Record<string, string>) => Promise<void>, user: Record<keyof typeof keys, string> = keys): Promise<void> {
    await using own = await temporary()
    const port = await freePort()
    const stop = await start({ port, ...shown, clientCa: ca, folder: own.path, core })
    try {
      await use({
        MUXI_CORE_URI: `https://localhost:${port}`,
        MUXI_CORE_ADMIN_KEY: user.admin,
        MUXI_CORE_CLIENT_KEY: user.user,
        MUXI_CORE_TLS_CA: ca,
        MUXI_CORE_TLS_CERT: all.client.cert,
        MUXI_CORE_TLS_KEY: all.client.key
      })
    } finally {
      await stop()
    }
  }

  async function asks (url: string, key: string): Promise<void> {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const list = await fetch(`${url}/api/v1/agents`, { headers })
    const chat = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers, body: JSON.stringify({ content: 'Count [fake: tokens=3]', user_id: 'alice' }) })

    expect(list.status).toBe(200)
    expect(await chat.text()).toContain('event: message_end')
  }

  describe.for(Object.entries(proxies()))('%s', ([, start]) => {
    test('works with the right certificates', async () => {
      const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
      await behind(start, core.url, all.proxy, async (env) => {
        await using server = await Server.start({ env })
        await expect.poll(async () => await server.ready(), { timeout: 10_000 }).toEqual({ status: 200, checks: { core: 'up', keys: 'up' } })
        await asks(server.url, keys.admin)
      })
      await core.close()
    })

    test('the name of its certificate may be another than that of its address', async () => {
      const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
      await behind(start, core.url, all.renamed, async (env) => {
        await using server = await Server.start({ env: { ...env, MUXI_CORE_TLS_SERVER_NAME: 'core.example' } })
        await expect.poll(async () => await server.ready(), { timeout: 10_000 }).toEqual({ status: 200, checks: { core: 'up', keys: 'up' } })
        await asks(server.url, keys.admin)
      })
      await core.close()
    })

    const faults: [what: string, shown: keyof typeof all, settings: () => Record<string, string>, said: RegExp][] = [
      ['a Core that another signer vouches for', 'proxy', () => ({ MUXI_CORE_TLS_CA: otherCa }), /certificate of the MUXI Core is not signed by a certificate in MUXI_CORE_TLS_CA$/],
      ['an expired certificate of the Core', 'expired', () => ({}), /certificate of the MUXI Core, or of its signer, has expired$/],
      ['a certificate of the Core for another name', 'renamed', () => ({}), /certificate of the MUXI Core is for another name: set MUXI_CORE_TLS_SERVER_NAME$/],
      ['no client certificate', 'proxy', () => ({ MUXI_CORE_TLS_CERT: '', MUXI_CORE_TLS_KEY: '' }), /the MUXI Core wants a client certificate: set MUXI_CORE_TLS_CERT and MUXI_CORE_TLS_KEY$/],
      ['a client certificate of a strange signer', 'proxy', () => ({ MUXI_CORE_TLS_CERT: all.strange.cert, MUXI_CORE_TLS_KEY: all.strange.key }), /the MUXI Core refuses the client certificate of MUXI_CORE_TLS_CERT/],
      ['an expired client certificate', 'proxy', () => ({ MUXI_CORE_TLS_CERT: all.past.cert, MUXI_CORE_TLS_KEY: all.past.key }), /the MUXI Core refuses the client certificate: MUXI_CORE_TLS_CERT has expired on \d{4}-\d\d-\d\d$/]
    ]
    test.for(faults)('%s ends the start, which says so', async ([, shown, settings, said]) => {
      const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
      await behind(start, core.url, all[shown], async (env) => {
        const ended = await exitOf({ ...env, ...settings() })

        expect(ended.code).toBe(1)
        expect(ended.said).toMatch(said)
      })
      await core.close()
    })

    test('a renewed client certificate is taken without a start', async () => {
      const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
      const [cert, key] = [made.path('renewed.pem'), made.path('renewed.key')]
      await copyFile(all.past.cert, cert)
      await copyFile(all.past.key, key)
      await behind(start, core.url, all.proxy, async (env) => {
        await using server = await Server.start({ env: { ...env, MUXI_CORE_TLS_CERT: cert, MUXI_CORE_TLS_KEY: key } })
        await expect.poll(async () => (await server.ready()).checks.core, { timeout: 10_000 }).toMatch(/has expired on/)
        await copyFile(all.client.cert, cert)
        await new Promise((resolve) => { setTimeout(resolve, 300) })
        await copyFile(all.client.key, key)
        await expect.poll(async () => await server.ready(), { timeout: 10_000 }).toEqual({ status: 200, checks: { core: 'up', keys: 'up' } })
        await asks(server.url, keys.admin)
      })
      await core.close()
    })
  })

  test.skipIf(skipped(realCoreMissing()))('the real Core is served through it', { timeout: 180_000 }, async () => {
    const core = await RealCore.at(made.path('events.jsonl'))
    await core.start()
    try {
      await behind(Object.values(proxies()).at(-1)!, core.url, all.proxy, async (env) => {
        await using server = await Server.start({ env })
        await until(async () => (await server.ready()).status === 200, 30_000)
        await asks(server.url, core.keys.admin)
        expect((await exitOf({ ...env, MUXI_CORE_TLS_CERT: '', MUXI_CORE_TLS_KEY: '' })).said).toMatch(/wants a client certificate/)
      }, core.keys)
    } finally {
      await core.stop()
    }
  })
})
