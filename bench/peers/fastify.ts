import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'
import { listensAt } from './listen.ts'

// One route in Fastify as it comes: no schema, no hook, no log.

const [core = '', key = ''] = process.argv.slice(2)
const pool = new Pool(core, { connections: 128 })
const headers = { 'x-muxi-admin-key': key }

const app = Fastify({ logger: false })
app.get('/api/v1/agents', async () => {
  const { body } = await pool.request({ method: 'GET', path: '/v1/agents', headers })
  return await body.json()
})
await app.listen({ host: '127.0.0.1', port: 0 })
listensAt((app.server.address() as AddressInfo).port)
