import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'
import { listensAt } from './listen.ts'

// The least that relays frames with ws: each is parsed, for somebody has to know where it goes, and goes to the other socket of its room.

const rooms = new Map<string, Set<WebSocket>>()
const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false })
sockets.on('connection', (socket, { url = '' }) => {
  const room = rooms.get(url) ?? new Set()
  rooms.set(url, room.add(socket))
  socket.on('message', (message: Buffer) => {
    const frame = JSON.parse(message.toString()) as { type: string, data: object }
    const text = JSON.stringify(frame)
    for (const other of room) if (other !== socket) other.send(text)
  })
  socket.on('close', () => { room.delete(socket) })
})
server.listen(0, '127.0.0.1', () => { listensAt((server.address() as AddressInfo).port) })
