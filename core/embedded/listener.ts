import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { isIPv4 } from 'node:net'

/** A listening address that can go away and come back. */
export class Listener {
  readonly #listen: RequestListener
  readonly #host: string
  #port: number
  #server: Server | undefined

  constructor (host: string, port: number, listen: RequestListener) {
    if (!isLoopback(host)) throw new Error(`the embedded Core listens on loopback only, not on ${host}`)
    this.#host = host
    this.#port = port
    this.#listen = listen
  }

  get origin (): string {
    return `http://${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.#port}`
  }

  /** Listens; from the second time on at the port of the first. */
  async up (): Promise<void> {
    if (this.#server) return
    // the real Core closes an idle connection after 5 s
    const server = createServer({ keepAliveTimeout: 5000, noDelay: true }, this.#listen)
    this.#server = server
    try {
      await once(server.listen(this.#port, this.#host), 'listening')
    } catch (err) {
      this.#server = undefined
      throw err
    }
    const address = server.address()
    if (typeof address === 'object' && address) this.#port = address.port
  }

  /** Stops listening and cuts every connection, as if killed. */
  async down (): Promise<void> {
    const server = this.#server
    if (!server) return
    this.#server = undefined
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
}

function isLoopback (host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
