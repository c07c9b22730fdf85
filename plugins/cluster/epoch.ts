import { randomBytes } from 'node:crypto'

/** Twelve characters that name one past of a topic, and no other. */
export function newEpoch (): string {
  return randomBytes(9).toString('base64url')
}
