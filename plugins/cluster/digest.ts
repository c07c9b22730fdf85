import { hash } from 'node:crypto'

/** Names keys without being them. */
export interface Digests { ofKey: (key: string) => string, ofHash: (sha256: Buffer) => string }

/**
 * HMAC-SHA-256 (RFC 2104) of a key's SHA-256 under this deployment's secret: who tells us of a key may name it by its SHA-256.
 * Spelled out over one-shot hashes: the objects that `createHmac` makes outlive young collections, and double the garbage of a request.
 */
export function createDigests (secret: Buffer): Digests {
  const inner = padded(secret, 0x36)
  const outer = padded(secret, 0x5c)
  const ofHash = (sha256: Buffer) => hash('sha256', Buffer.concat([outer, hash('sha256', Buffer.concat([inner, sha256]), 'buffer')]), 'base64url')
  return { ofHash, ofKey: (key) => ofHash(hash('sha256', key, 'buffer')) }
}

/** The key of the HMAC, at most a block of 64 bytes long, in one of its two paddings. */
function padded (secret: Buffer, byte: number): Buffer {
  const block = Buffer.alloc(64, byte)
  for (let at = 0; at < secret.length; at++) block[at] = secret[at]! ^ byte
  return block
}
