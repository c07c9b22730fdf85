import { checkDocument, type Document } from './documents.ts'
import type { CoreCalls } from './types.ts'

/** What is known of a user, as one document. */
export interface Context { knowledge: Document, updatedAt?: number | string, version: string }

/** The contexts of users. Changes answer the fields they touched; with a version they are refused when there is another by now. */
export interface Contexts {
  get: (user: string) => Promise<Context>
  /** Adds top-level members; those that are there already are a conflict. */
  add: (user: string, knowledge: Document, version?: string) => Promise<string[]>
  /** Merges deeply. */
  merge: (user: string, knowledge: Document, version?: string) => Promise<string[]>
  /** Takes out the named members, or all. */
  remove: (user: string, fields?: string[], version?: string) => Promise<string[]>
}

interface CoreContext { knowledge?: Document, last_updated?: number | string, version?: number | string, fields_updated?: string[], fields_deleted?: string[], fields_added?: string[] }

/** Contexts that the Core keeps itself. */
export function coreContexts (core: CoreCalls): Contexts {
  const path = (user: string) => `/users/${encodeURIComponent(user)}/context`
  const options = (user: string, ifMatch?: string) => ({ what: `user ${user}`, ...(ifMatch !== undefined && { ifMatch }) })

  return {
    get: async (user) => {
      const { knowledge = {}, last_updated: updatedAt, version = '' } = await core.get<CoreContext>(path(user), options(user))
      return { knowledge, updatedAt, version: String(version) }
    },
    add: async (user, knowledge, version) => {
      checkDocument(knowledge)
      return (await core.post<CoreContext>(path(user), { knowledge }, options(user, version))).fields_added ?? Object.keys(knowledge)
    },
    merge: async (user, knowledge, version) => {
      checkDocument(knowledge)
      return (await core.patch<CoreContext>(path(user), { knowledge }, options(user, version))).fields_updated ?? Object.keys(knowledge)
    },
    remove: async (user, fields, version) => {
      const query = fields === undefined ? '' : `?fields=${encodeURIComponent(fields.join(','))}`
      return (await core.delete<CoreContext>(path(user) + query, options(user, version))).fields_deleted ?? []
    }
  }
}
