import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Proxy { url: string, close: () => Promise<void> }

/** Passes requests to a server on loopback as they are, with a key: the suite can send none. Host and Origin are the client's own. */
export async function startProxy (port: number, key: string): Promise<Proxy> {
  const server = createServer((incoming, outgoing) => { pass(incoming, outgoing, port, key) })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/mcp`,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    }
  }
}

function pass (incoming: IncomingMessage, outgoing: ServerResponse, port: number, key: string): void {
  const { method, url, headers } = incoming
  const onward = request({ host: '127.0.0.1', port, method, path: url, headers: { ...headers, authorization: `Bearer ${key}` } }, (answer) => {
    outgoing.writeHead(answer.statusCode!, answer.headers)
    outgoing.flushHeaders()
    answer.pipe(outgoing)
    answer.once('error', () => { outgoing.destroy() })
  })
  onward.once('error', () => { outgoing.destroy() })
  // A client that leaves leaves the server, too.
  outgoing.once('close', () => { onward.destroy() })
  incoming.pipe(onward)
}
