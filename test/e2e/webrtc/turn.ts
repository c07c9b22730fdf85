import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort, installed, root, started } from '../processes.ts'

/** Why there is no TURN server to start; undefined where there is. */
export function turnMissing (): string | undefined {
  return installed('turnserver') ? undefined : 'no turnserver in the PATH (Debian: apt-get install coturn)'
}

/** What it shares with the server: whoever is given credentials by that may use it. */
export const secret = 'a-secret-of-the-turn-server-of-these-tests'

/** A coturn on loopback, for peers on loopback. */
export class Turn {
  readonly port: number
  readonly stop: () => Promise<void>

  constructor (port: number, stop: () => Promise<void>) {
    this.port = port
    this.stop = stop
  }

  static async start (folder: string): Promise<Turn> {
    // The shipped file denies loopback, which is all that there is here.
    return await startWith(folder, (port) => `${placeOf(port)}
use-auth-secret
static-auth-secret=${secret}
realm=turn.example.net
allow-loopback-peers
fingerprint
no-cli`)
  }

  /** With the shipped file; only addresses and the secret are filled in, and there is no certificate. */
  static async startAsShipped (folder: string): Promise<Turn> {
    const shipped = await readFile(join(root, 'examples/coturn/turnserver.conf'), 'utf8')
    return await startWith(folder, (port) => `${placeOf(port)}\n${shipped.replace(/^(?:listening-port|tls-listening-port|cert|pkey|syslog|no-stdout-log).*$/gm, '').replace(/^(static-auth-secret)=.*$/m, `$1=${secret}`)}`)
  }
}

const placeOf = (port: number) => `listening-ip=127.0.0.1
relay-ip=127.0.0.1
listening-port=${port}
no-tls
no-dtls
simple-log
log-file=stdout`

async function startWith (folder: string, confOf: (port: number) => string): Promise<Turn> {
  const port = await freePort()
  const file = join(folder, 'turnserver.conf')
  await writeFile(file, `${confOf(port)}\npidfile=${join(folder, 'turnserver.pid')}\nuserdb=${join(folder, 'turndb')}\n`)
  return new Turn(port, await started('turnserver', ['-c', file], {}, async () => await answers(port)))
}

async function answers (port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => { resolve(false) })
  })
}
