import { createServer, request, type IncomingHttpHeaders } from 'node:http'
import { expect } from 'vitest'
import type { Check } from '../../cli/doctor/check.ts'
import { keys } from '../app.ts'
import { listening } from '../core/client.ts'
import { test as base } from './run.ts'

/** What the doctor said, and how it ended. */
export interface Report { code: number | null, stdout: string, stderr: string, ok: boolean, checks: Check[], of: (id: string) => Check | undefined }
/** A proxy and its faults. */
interface Way {
  /** keeps answers until they are whole */
  buffers?: boolean
  /** what it adds to or changes of the request */
  sends?: (headers: IncomingHttpHeaders) => Record<string, string>
  /** what it changes of the answer's headers */
  answers?: Record<string, string>
  /** what it answers to an upgrade */
  upgrade?: number
}
interface Fixtures {
  /** the settings that server and doctor share */
  env: Record<string, string>
  port: number
  /** starts the server, and waits until it has said so of its Core */
  serve: (more?: Record<string, string>, says?: string) => Promise<void>
  doctor: (args?: string[], more?: Record<string, string>) => Promise<Report>
  /** a proxy to that port; its address */
  proxy: (way?: Way, to?: string) => Promise<string>
}

/** A chat of 20 words, 60 ms each. */
export const slowly = ['--say', '[fake: tokens=20 delay_ms=60]']

/** A test with servers and the doctor as processes. */
export const test = base.extend<Fixtures>({
  port: async ({ freePort }, use) => { await use(await freePort()) },
  env: async ({ core, port }, use) => {
    await use({ MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_PORT: String(port) })
  },
  serve: async ({ run, env, port }, use) => {
    await use(async (more = {}, says = 'the MUXI Core is there') => {
      const server = run(['start'], { ...env, ...more })
      await expect.poll(() => server.stdout, { timeout: 20_000, interval: 20 }).toContain(says)
      expect(server.stdout).toContain(`listening on ${more.MUXI_API_TLS_CERT === undefined ? 'http' : 'https'}://127.0.0.1:${port}`)
    })
  },
  doctor: async ({ run, env }, use) => {
    await use(async (args = [], more = {}) => {
      const { code, stdout, stderr } = await run(['doctor', '--json', ...args], { ...env, ...more }).end()
      const { ok, checks } = JSON.parse(stdout) as Pick<Report, 'ok' | 'checks'>
      return { code, stdout, stderr, ok, checks, of: (id) => checks.find((check) => check.id === id) }
    })
  },
  proxy: async ({ port }, use) => {
    const open: ReturnType<typeof createServer>[] = []
    await use(async ({ buffers = false, sends = () => ({}), answers = {}, upgrade } = {}, to = `http://127.0.0.1:${port}`) => {
      const server = createServer((incoming, outgoing) => {
        if (incoming.headers.upgrade !== undefined && upgrade !== undefined) {
          outgoing.writeHead(upgrade, { server: 'a-proxy' }).end('no')
          return
        }
        const { connection, upgrade: wanted, ...headers } = incoming.headers
        const onward = request(`${to}${incoming.url}`, { method: incoming.method, headers: { ...headers, ...sends(headers) }, agent: false }, (answer) => {
          const begin = () => { outgoing.writeHead(answer.statusCode!, { ...answer.headers, ...answers }) }
          if (!buffers) {
            begin()
            answer.pipe(outgoing)
            return
          }
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => { chunks.push(chunk) })
          answer.on('end', () => {
            begin()
            outgoing.end(Buffer.concat(chunks))
          })
        })
        onward.on('error', () => { outgoing.writeHead(502).end() })
        incoming.pipe(onward)
      })
      if (upgrade === undefined) {
        server.on('upgrade', ({ url, headers }, socket) => {
          const onward = request(`${to}${url}`, { headers: { ...headers, ...sends(headers) }, agent: false })
          onward.on('upgrade', ({ rawHeaders }, other) => {
            socket.write(`HTTP/1.1 101 Switching Protocols\r\n${rawHeaders.map((text, i) => `${text}${i % 2 === 0 ? ': ' : '\r\n'}`).join('')}\r\n`)
            socket.pipe(other).pipe(socket)
          })
          onward.on('response', () => { socket.destroy() })
          for (const one of [onward, socket]) one.on('error', () => { socket.destroy() })
          onward.end()
        })
      }
      open.push(server)
      return await listening(server)
    })
    for (const server of open) {
      server.close()
      server.closeAllConnections()
    }
  }
})

export const statuses = ({ checks }: Report) => Object.fromEntries(checks.map(({ id, status }) => [id, status]))
export const allOk = { settings: 'ok', listening: 'ok', public_url: 'ok', core: 'ok', capabilities: 'ok', admin_key: 'ok', client_key: 'ok', clock: 'ok', redis: 'ok', server: 'ok', tls: 'ok', ready: 'ok', forwarding: 'ok', stream: 'ok', socket: 'ok', mcp: 'ok' }
