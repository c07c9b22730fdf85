import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Config } from '../config.ts'
import type { Place } from './doctor/visit.ts'

/** Where clients reach the server; without any word of it the way that this machine has. */
export function placeOf ({ host, port, public_url: publicUrl, tls_cert: cert }: Config['api'], url = publicUrl, ca?: string): Place {
  if (url !== undefined) return { url: url.replace(/\/+$/, ''), ca }
  const near = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host
  if (cert === undefined) return { url: `http://${near}:${port}` }
  return { url: `https://${near}:${port}`, ...pinned(cert) }
}

/** The server's own certificate; where it cannot be read its own line says so. */
function pinned (path: string): Pick<Place, 'ca' | 'isPinned'> {
  try {
    return { ca: new X509Certificate(readFileSync(path)).toString(), isPinned: true }
  } catch {
    return {}
  }
}
