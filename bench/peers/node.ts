import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'
import { listensAt } from './listen.ts'

// The least that passes a JSON answer on in Node: no router, no key, no log.

const [core = '', key = ''] = process.argv.slice(2)
const pool = new Pool(core, { connections: 128 })
const headers = { 'x-muxi-admin-key': key }

const server = createServer((req, res) => {
  pool.request({ method: 'GET', path: '/v1/agents', headers })
    .then(async ({ body }) => await body.json())
    .then((value) => {
      const text = Buffer.from(JSON.stringify(value))
      res.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-length': text.length }).end(text)
    })
    .catch(() => { res.writeHead(502).end() })
})
server.listen(0, '127.0.0.1', () => { listensAt((server.address() as AddressInfo).port) })
