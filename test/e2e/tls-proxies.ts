import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { connect } from 'node:net'
import { cache, installed, run, started } from './processes.ts'

/** What a proxy shows, and whose clients it takes. */
export interface Identity { port: number, cert: string, key: string, clientCa: string, folder: string, core: string }
type Start = (identity: Identity) => Promise<() => Promise<void>>

export const caddy = join(cache, 'caddy-2.11.7', 'bin', 'caddy')

/** Makes certificates in a folder: signers by name, then leaves that they sign. */
export class Certificates {
  readonly folder: string

  constructor (folder: string) {
    this.folder = folder
  }

  async signer (name: string): Promise<string> {
    await run('openssl', ['req', '-x509', ...fresh, '-days', '2', '-subj', `/CN=${name}`, '-keyout', this.path(`${name}.key`), '-out', this.path(`${name}.pem`)])
    return this.path(`${name}.pem`)
  }

  /** A negative number of days is over already. */
  async leaf (name: string, signer: string, { days = 2, dns }: { days?: number, dns?: string } = {}): Promise<{ cert: string, key: string }> {
    const [cert, key, wish] = [this.path(`${name}.pem`), this.path(`${name}.key`), this.path(`${name}.csr`)]
    await run('openssl', ['req', ...fresh, '-subj', `/CN=${name}`, ...(dns === undefined ? [] : ['-addext', `subjectAltName=DNS:${dns}`]), '-keyout', key, '-out', wish])
    await run('openssl', ['x509', '-req', '-in', wish, '-CA', this.path(`${signer}.pem`), '-CAkey', this.path(`${signer}.key`), '-days', String(days), '-copy_extensions', 'copy', '-out', cert])
    return { cert, key }
  }

  path (name: string): string {
    return join(this.folder, name)
  }
}

const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/** Proxies that end TLS before a Core and demand a client certificate; those that are here. */
export function proxies (): Record<string, Start> {
  return { node: overNode, ...(installed('nginx') && { nginx: overNginx }), ...(existsSync(caddy) && { Caddy: overCaddy }) }
}

const overNode: Start = async ({ port, cert, key, clientCa, core }) => {
  const server = createServer({ cert: await readFile(cert), key: await readFile(key), ca: await readFile(clientCa), requestCert: true, rejectUnauthorized: true }, (incoming, outgoing) => {
    const onward = request(core + incoming.url!, { method: incoming.method, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on('error', () => { outgoing.destroy() })
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => { server.listen(port, '127.0.0.1', resolve) })
  return async () => {
    server.closeAllConnections()
    await new Promise((resolve) => { server.close(resolve) })
  }
}

const overNginx: Start = async ({ port, cert, key, clientCa, folder, core }) => {
  const file = join(folder, 'nginx.conf')
  await writeFile(file, `daemon off; pid ${folder}/nginx.pid; error_log stderr; worker_processes 1; user root;
    events {}
    http {
      access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
      server {
        listen 127.0.0.1:${port} ssl; ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_client_certificate ${clientCa}; ssl_verify_client on;
        location / { proxy_pass ${core}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
      }
    }`)
  return await started('nginx', ['-c', file, '-p', folder], {}, async () => await answers(port))
}

const overCaddy: Start = async ({ port, cert, key, clientCa, folder, core }) => {
  const file = join(folder, 'Caddyfile')
  await writeFile(file, `{
    admin off
    auto_https off
    skip_install_trust
    servers {
      strict_sni_host insecure_off
    }
  }
  https://:${port} {
    bind 127.0.0.1
    tls ${cert} ${key} {
      client_auth {
        mode require_and_verify
        trust_pool file ${clientCa}
      }
    }
    reverse_proxy ${core} {
      flush_interval -1
    }
  }`)
  return await started(caddy, ['run', '--config', file, '--adapter', 'caddyfile'], { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }, async () => await answers(port))
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
