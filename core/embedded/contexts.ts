import { type Document, checkDocument, leavesOf, merged, removeField } from './documents.ts'
import { CoreError, seconds } from './envelope.ts'
import { requireVersion } from './versions.ts'

/** What is known of a user, as one document. The version outlives an emptied document. */
export interface Context { knowledge: Document, last_updated: number, version: number }

interface Change { user: string, ifMatch: string | undefined }

/** The contexts of all users. */
export class Contexts {
  readonly byUser: Map<string, Context>

  constructor (entries: Iterable<[string, Context]> = []) {
    this.byUser = new Map(entries)
  }

  has (user: string): boolean {
    return Object.keys(this.byUser.get(user)?.knowledge ?? {}).length > 0
  }

  /** Adds top-level members that are not there yet. */
  add ({ user, ifMatch }: Change, knowledge: Document): Context & { fields_added: string[] } {
    const { knowledge: before } = this.#current(user, ifMatch)
    const taken = Object.keys(knowledge).filter((field) => Object.hasOwn(before, field))
    if (taken.length > 0) throw new CoreError(409, 'RESOURCE_CONFLICT', `already there: ${taken.join(', ')}`, { fields: taken })
    return { fields_added: Object.keys(knowledge), ...this.#write(user, { ...before, ...knowledge }) }
  }

  /** Merges members in, deeply. */
  merge ({ user, ifMatch }: Change, patch: Document): Context & { fields_updated: string[] } {
    const { knowledge: before } = this.#current(user, ifMatch)
    checkDocument(patch)
    return { fields_updated: leavesOf(patch), ...this.#write(user, merged(before, patch)) }
  }

  /** Takes members out, or all of them; says which of them were there. */
  remove ({ user, ifMatch }: Change, fields?: string[]): Context & { fields_deleted: string[] } {
    const { knowledge } = this.#current(user, ifMatch)
    const rest = structuredClone(knowledge)
    const gone = (fields ?? Object.keys(knowledge)).filter((field) => removeField(rest, field))
    return { fields_deleted: gone, ...this.#write(user, rest) }
  }

  #current (user: string, ifMatch: string | undefined): Context {
    const context = this.byUser.get(user) ?? { knowledge: {}, last_updated: 0, version: 0 }
    requireVersion(ifMatch, context.version)
    return context
  }

  #write (user: string, knowledge: Document): Context {
    checkDocument(knowledge)
    const context = { knowledge, last_updated: seconds(), version: (this.byUser.get(user)?.version ?? 0) + 1 }
    this.byUser.set(user, context)
    return context
  }
}
