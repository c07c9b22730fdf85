import { ApiError } from '../errors.ts'
import { capabilities, routesIn } from './capabilities.ts'
import type { CoreClient } from './client.ts'
import type { Config } from '../schemas/config.ts'
import type { CoreTarget } from './target.ts'
import { TlsFault } from './tls.ts'

/** What is known of a Core that was looked at in full. */
export interface Facts { version: string, routes: Set<string> }

/** Looks at the Core at an address: it answers, is a MUXI Core, and takes our own keys; throws what is wrong. */
export async function examine (client: CoreClient, keys: Pick<Config['core'], 'admin_key' | 'client_key'>, target: CoreTarget): Promise<Facts> {
  await client.ping(target)
  const document = await client.document(target)
  const version = (document as { info?: { version?: unknown } } | null)?.info?.version
  const routes = routesIn(document)
  if (typeof version !== 'string' || !routes.has(capabilities.chat)) throw new ApiError('core_error', 'what answers there is no MUXI Core')
  for (const [name, key, access] of [['MUXI_CORE_ADMIN_KEY', keys.admin_key, 'admin'], ['MUXI_CORE_CLIENT_KEY', keys.client_key, 'user']] as const) {
    if (key !== undefined && (await client.accessOf(key, 'probing', target))?.access !== access) throw new ApiError('core_error', `the MUXI Core refuses ${name}`)
  }
  return { version, routes }
}

/** Why a Core does not pass, in one line without an address. */
export function reasonOf (error: unknown): string {
  const { message, cause } = error as { message: string, cause?: { code?: unknown } }
  if (cause instanceof TlsFault) return cause.message
  return typeof cause?.code === 'string' ? `${message} (${cause.code})` : message
}
