import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { once } from 'node:events'

/** The way of one device to a server: it can be cut, and lie dead for a while. Gone with `await using`. */
export class Network implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isDown = false

  private constructor (server: Server) { this.#server = server }

  static async to (url: string): Promise<Network> {
    const { port } = new URL(url)
    const server = createServer()
    const network = new Network(server)
    server.on('connection', (near) => { network.#join(near, Number(port)) })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return network
  }

  get url (): string { return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}` }

  /** Every connection breaks, and no other is made until `up`. */
  down (): void {
    this.#isDown = true
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  up (): void { this.#isDown = false }

  #join (near: Socket, port: number): void {
    if (this.#isDown) {
      near.resetAndDestroy()
      return
    }
    const far = connect(port, '127.0.0.1')
    for (const [one, other] of [[near, far], [far, near]] as const) {
      this.#sockets.add(one)
      one.on('error', () => {}).on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      }).pipe(other)
    }
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    this.down()
    this.#server.close()
  }
}
