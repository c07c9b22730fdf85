import { ApiError } from '../errors.ts'
import type { CoreCalls } from './types.ts'

/** Makes a user known to the Core. Of a new user's first calls at once it fails all but one: then another call has done it. */
export async function introduce (core: CoreCalls, user: string): Promise<void> {
  try {
    await core.post('/users/resolve', { identifier: user }, { user })
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 'core_error' && await isKnown(core, user))) throw error
  }
}

/** Whether the Core has met a user. To be asked first: listing the memories of a user makes the user known. */
export async function isKnown (core: CoreCalls, user: string): Promise<boolean> {
  // Its route takes no slash, escaped or not.
  if (user.includes('/')) return true
  return await unlessMissing(async () => await core.get(`/users/${encodeURIComponent(user)}`))
}

/** False where the Core does not have what is asked for. */
export async function unlessMissing (call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call()
    return true
  } catch (error) {
    if (error instanceof ApiError && error.code === 'not_found') return false
    throw error
  }
}
