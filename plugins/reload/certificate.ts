import { X509Certificate, createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'

/** A certificate with its key, as `setSecureContext` takes it, and when it holds. */
export interface Pair { cert: Buffer, key: Buffer, begins: Date, ends: Date, serial: string }

const dayMs = 86_400_000
const soonMs = 14 * dayMs

/** Reads the two files; throws one sentence where they cannot serve: half written, no PEM, not of each other. */
export function readPair ({ cert: certPath, key: keyPath }: { cert: string, key: string }): Pair {
  const cert = readFileSync(certPath)
  const key = readFileSync(keyPath)
  const leaf = read(certPath, () => new X509Certificate(cert))
  const own = read(keyPath, () => createPrivateKey(key))
  if (!leaf.checkPrivateKey(own)) throw new Error(`${keyPath} is not the key of ${certPath}`)
  // The rest of the chain.
  read(certPath, () => createSecureContext({ cert, key }))
  return { cert, key, begins: new Date(leaf.validFrom), ends: new Date(leaf.validTo), serial: leaf.serialNumber }
}

/** Why clients would refuse it now; undefined when it holds. */
export function invalidNow ({ begins, ends }: Pick<Pair, 'begins' | 'ends'>, now = Date.now()): string | undefined {
  if (ends.getTime() <= now) return `it ended at ${ends.toISOString()}`
  if (begins.getTime() > now) return `it begins at ${begins.toISOString()}`
  return undefined
}

/** Whole days until the end, where these are less than 14. */
export function daysLeft ({ ends }: Pick<Pair, 'ends'>, now = Date.now()): number | undefined {
  const left = ends.getTime() - now
  return left < soonMs ? Math.max(0, Math.floor(left / dayMs)) : undefined
}

function read<T> (path: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    throw new Error(`${path} cannot be used: ${(cause as Error).message}`, { cause })
  }
}
