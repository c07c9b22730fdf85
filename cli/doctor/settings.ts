import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Config } from '../../config.ts'
import { isLoopback } from '../addresses.ts'
import { type Check, check, failed, type Finding, ok, warning, wordsOf } from './check.ts'

const dayMs = 86_400_000
const soonDays = 14

/** What the settings alone tell. */
export async function checkSettings (config: Readonly<Config>, from: string): Promise<Check[]> {
  const { api, core } = config
  return await Promise.all([
    check('settings', 'settings', () => ok(`valid, ${from}`)),
    check('listening', 'listening', () => listening(api)),
    ...(api.tls_cert === undefined || api.tls_key === undefined ? [] : [check('certificate', 'own certificate', () => pair('api', api.tls_cert!, api.tls_key!))]),
    ...(core.tls_cert === undefined || core.tls_key === undefined ? [] : [check('core_certificate', 'certificate for Core', () => pair('core', core.tls_cert!, core.tls_key!))]),
    check('public_url', 'public URL', () => publicUrl(api))
  ])
}

function listening ({ host, port, tls_cert: cert, require_https: required, trust_proxy: proxies }: Config['api']): Finding {
  const where = `${host}:${port}`
  if (cert !== undefined) return ok(`${where}, with TLS`)
  if (required && proxies.length === 0 && !isLoopback(host)) {
    return warning(`${where} in clear text, and api.require_https refuses that from everywhere but loopback`, 'set api.trust_proxy to the proxy that takes https, or api.tls_cert and api.tls_key')
  }
  if (required) return ok(`${where}, and only what came by https is answered`)
  if (isLoopback(host)) return ok(`${where}, for this machine alone`)
  return warning(`${where} in clear text: whoever is on the way can read the keys`, 'set api.tls_cert and api.tls_key, or api.require_https behind a proxy with TLS')
}

function publicUrl ({ host, public_url: url, tls_cert: cert }: Config['api']): Finding {
  if (url === undefined) {
    return isLoopback(host)
      ? ok('unset: for this machine alone')
      : warning('unset: /mcp cannot check the Host, and the documents do not know where clients reach the server', 'set api.public_url (MUXI_API_PUBLIC_URL) to the address that clients use')
  }
  const { protocol, hostname } = new URL(url)
  if (protocol === 'http:' && !isLoopback(hostname)) return warning(`${url} is no https: whoever is on the way can read the keys`, 'put TLS before the server, and https in api.public_url')
  return protocol === 'http:' && cert !== undefined ? warning(`${url}, but the server speaks TLS`, 'write https in api.public_url') : ok(url)
}

/** A certificate with its key, as TLS takes them. */
function pair (group: 'api' | 'core', certPath: string, keyPath: string): Finding {
  try {
    const leaf = new X509Certificate(readFileSync(certPath))
    if (!leaf.checkPrivateKey(createPrivateKey(readFileSync(keyPath)))) return failed(`${keyPath} is not the key of ${certPath}`, `name files that belong together in ${group}.tls_cert and ${group}.tls_key`)
    if (Date.parse(leaf.validFrom) > Date.now()) return failed(`holds from ${dayOf(leaf.validFrom)} only`, 'compare the clocks, or take another certificate')
    return ending(leaf.validTo, `write a renewed certificate to ${certPath}: it is taken up without a restart`)
  } catch (error) {
    const { code } = error as { code?: string }
    return code === 'EACCES'
      ? failed(wordsOf(error), 'let the user that runs the server read the file')
      : failed(`${group}.tls_cert or ${group}.tls_key cannot be used: ${wordsOf(error)}`, 'both must be PEM, without a passphrase')
  }
}

/** How long a certificate still holds. */
export function ending (validTo: string, remedy: string, before = ''): Finding {
  const days = Math.floor((Date.parse(validTo) - Date.now()) / dayMs)
  if (days < 0) return failed(`${before}ended on ${dayOf(validTo)}`, remedy)
  return days < soonDays ? warning(`${before}ends in ${days} days, on ${dayOf(validTo)}`, remedy) : ok(`${before}holds until ${dayOf(validTo)}`)
}

function dayOf (time: string): string {
  return new Date(time).toISOString().slice(0, 10)
}
