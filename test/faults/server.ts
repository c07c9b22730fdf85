import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { as } from '../app.ts'

/** With a certificate, so that there is HTTP/2. */
export const tls = { MUXI_API_TLS_CERT: 'test/fixtures/tls/cert.pem', MUXI_API_TLS_KEY: 'test/fixtures/tls/key.pem' }

export interface Heard { text: string, ms: number }

/** Sends bytes as they are, then one more piece every 100 ms, and hears the connection to its end. */
export async function send (url: string, bytes: string, drip?: string): Promise<Heard> {
  const { protocol, hostname, port } = new URL(url)
  const at = { host: hostname, port: Number(port) }
  const socket = protocol === 'https:' ? connectTls({ ...at, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }) : connectTcp(at)
  const started = performance.now()
  let text = ''
  socket.on('data', (chunk: Buffer) => { text += chunk.toString() })
  // What is sent after the other side has closed is no fault of the test.
  socket.on('error', () => {})
  socket.write(bytes)
  const dripping = drip === undefined ? undefined : setInterval(() => { socket.write(drip) }, 100)
  await once(socket, 'close')
  clearInterval(dripping)
  return { text, ms: performance.now() - started }
}

/** The value of a metric, summed over the series whose labels have all these texts. */
export async function metric (app: FastifyInstance, name: string, ...labels: string[]): Promise<number> {
  const { body } = await app.inject({ url: '/metrics', headers: as('admin') })
  return body.split('\n')
    .filter((line) => new RegExp(`^${name}[{ ]`).test(line) && labels.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}
