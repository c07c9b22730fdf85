import { createRemoteJWKSet, customFetch, errors, jwtVerify, type JWTPayload, type JWTVerifyOptions } from 'jose'
import { Agent, fetch as request } from 'undici'
import { ApiError } from '../errors.ts'

/** Reads what somebody signed with a key of its published set; throws where the set cannot be had. undefined: the signature, or what it covers, is not good. */
export type SignedReader = (jwt: string) => Promise<JWTPayload | undefined>

interface Source { jwksUri: string, issuer: string, audience: string, typ?: string, ca?: string | undefined }

/** RFC 8725, section 3.1: nothing symmetric, and never "none". */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']
const fetchMs = 2_000
/** A key id that is not in the set is looked for again, but not for every forged one. */
const cooldownMs = 5_000
const keptMs = 600_000

/** Checks signatures against a JSON Web Key Set (RFC 7517) that is fetched when needed, kept for 10 minutes, and fetched again for a key id that is new. */
export function createSignedReader ({ jwksUri, issuer, audience, typ, ca }: Source): SignedReader {
  const dispatcher = new Agent({ connect: { timeout: fetchMs, ca }, headersTimeout: fetchMs, bodyTimeout: fetchMs, maxResponseSize: 262_144 })
  const keys = createRemoteJWKSet(new URL(jwksUri), {
    timeoutDuration: fetchMs,
    cooldownDuration: cooldownMs,
    cacheMaxAge: keptMs,
    // The two fetches differ in types alone.
    [customFetch]: async (url, options) => await request(url, { ...options as object, dispatcher }) as unknown as Response
  })
  const options: JWTVerifyOptions = { issuer, audience, algorithms, clockTolerance: 5, ...(typ !== undefined && { typ }) }
  return async (jwt) => {
    try {
      return (await jwtVerify(jwt, keys, options)).payload
    } catch (error) {
      if (isBad(error)) return undefined
      throw new ApiError('core_unavailable', 'the keys that sign cannot be fetched', { cause: error, retryAfter: 1 })
    }
  }
}

/** The fault is the token's own, not that of the way to the keys. */
function isBad (error: unknown): boolean {
  return error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout) && !(error instanceof errors.JWKSInvalid) && error.code !== 'ERR_JOSE_GENERIC'
}
