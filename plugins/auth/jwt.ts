import { decodeJwt, type JWTPayload } from 'jose'
import { verdictOf, type Roles, type Verdict } from '../../core/keys.ts'
import { createSignedReader } from '../../core/signed.ts'
import { ApiError } from '../../errors.ts'

interface Settings { jwt_issuer?: string, jwt_audience?: string, jwt_jwks_uri?: string }

/** Judges keys that are JWTs of the configured issuer (RFC 7519, RFC 8725), and those for another audience; 'foreign' for every other key. */
export function createJwtJudge ({ jwt_issuer: issuer, jwt_audience: audience, jwt_jwks_uri: jwksUri }: Settings, roles: Roles): (key: string) => Promise<Verdict | undefined | 'foreign'> {
  // The settings see to it that all three are there, or none.
  if (issuer === undefined || audience === undefined || jwksUri === undefined) return async () => 'foreign'
  const read = createSignedReader({ jwksUri, issuer, audience })
  return async (key) => {
    const said = claimsOf(key)
    // The Core is not shown what was meant for somebody else (MCP, Security: Token Passthrough).
    if (said?.iss !== issuer) return said?.aud !== undefined && ![said.aud].flat().includes(audience) ? undefined : 'foreign'
    const claims = await read(key)
    // One without an end could not be taken back.
    const verdict = claims?.exp === undefined ? undefined : verdictOf(claims, roles)
    if (verdict === 'unreadable') throw new ApiError('core_error', 'the claims of the token cannot be read')
    return verdict === undefined || verdict === 'without level' ? undefined : { ...verdict, foreign: true }
  }
}

/** Unproven: what is read here alone turns keys away, and lets none in. */
function claimsOf (key: string): JWTPayload | undefined {
  if (!key.startsWith('ey')) return undefined
  try {
    return decodeJwt(key)
  } catch {
    return undefined
  }
}
