import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listensAt } from './listen.ts'

// The least that hands events on in Node: each is encoded once, and written once to every client. No key, no filter, no history, no limit.

interface Records { resourceLogs: { scopeLogs: { logRecords: { timeUnixNano: string, body: { stringValue: string } }[] }[] }[] }

const clients = new Set<ServerResponse>()
let seq = 0

const server = createServer((req, res) => {
  if (req.method === 'GET') {
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }).flushHeaders()
    clients.add(res)
    res.once('close', () => { clients.delete(res) })
    return
  }
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => { chunks.push(chunk) })
  req.once('end', () => {
    const { resourceLogs } = JSON.parse(Buffer.concat(chunks).toString()) as Records
    for (const { timeUnixNano, body } of resourceLogs[0]!.scopeLogs[0]!.logRecords) {
      const event = { timestamp: new Date(Number(timeUnixNano) / 1e6).toISOString(), level: 'info', message: body.stringValue, service: 'bench' }
      const frame = Buffer.from(`id: ${++seq}\nevent: log\ndata: ${JSON.stringify(event)}\n\n`)
      for (const client of clients) client.write(frame)
    }
    res.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
})
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => { listensAt((server.address() as AddressInfo).port) })
