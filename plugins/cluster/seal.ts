import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** Hides texts from whoever can read the store: AES-256-GCM, with the place of a text bound to it. */
export interface Seal { close: (text: string, place: string) => string, open: (sealed: string, place: string) => string | undefined }

/** A text moved to another place, or changed, does not open. */
export function createSeal (key: Buffer): Seal {
  return {
    close: (text, place) => {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(place))
      return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64')
    },
    open: (sealed, place) => {
      const bytes = Buffer.from(sealed, 'base64')
      if (bytes.length < 28) return undefined
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAAD(Buffer.from(place)).setAuthTag(bytes.subarray(-16))
        return decipher.update(bytes.subarray(12, -16), undefined, 'utf8') + decipher.final('utf8')
      } catch {
        return undefined
      }
    }
  }
}

/** In memory there is nobody to hide from. */
export const openSeal: Seal = { close: (text) => text, open: (text) => text }
