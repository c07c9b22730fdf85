import { createHash } from 'node:crypto'
import { ApiError } from '../errors.ts'
import type { Context, Contexts } from './context.ts'
import { checkDocument, merge, pathsIn, without, type Document } from './documents.ts'
import { forget, memoriesOf, type Memory } from './memories.ts'
import type { CoreCalls } from './types.ts'
import { introduce, isKnown } from './users.ts'

/** Runs the work while no other instance runs work of that name; `ensure` throws where it is no longer its turn. */
export type Exclusively = <T>(name: string, work: (ensure: () => Promise<void>) => Promise<T>) => Promise<T>

const marker = 'muxi:user-context:1 '

/** Whether a memory is not one, but the context of its user. */
export function isContext ({ content }: Memory): boolean {
  return content.startsWith(marker)
}

/** Contexts in a Core that has none: one memory of the user, marked, with the document in it. The newest counts. */
export function memoryContexts (core: CoreCalls, exclusively: Exclusively): Contexts {
  /** A user without a context must at least exist. */
  const known = async (user: string): Promise<void> => {
    if (!await isKnown(core, user)) throw new ApiError('not_found', `no user ${user}`)
  }

  const change = async (user: string, version: string | undefined, create: boolean, alter: (document: Document) => { after: Document, fields: string[] }): Promise<string[]> =>
    await exclusively(`context:${digest(user)}`, async (ensure) => {
      await (create ? introduce(core, user) : known(user))
      const entries: Memory[] = []
      for await (const memory of memoriesOf(core, user)) if (isContext(memory)) entries.push(memory)
      const current = contextIn(entries)
      if (version !== undefined && version !== (current ?? nothing).version) throw new ApiError('precondition_failed', `the context of ${user} was changed in the meantime: read it again`)

      const { after, fields } = alter(current?.knowledge ?? {})
      checkDocument(after)
      const isEmpty = Object.keys(after).length === 0
      const content = marker + JSON.stringify(after)
      if (entries[0]?.content === content || (isEmpty && entries.length === 0)) return fields
      await ensure()
      const made = isEmpty ? undefined : await core.post<{ id?: string }>('/memories', { content }, { user })
      for (const { id } of entries) {
        if (id === made?.id) continue
        // One that stays behind does no harm as long as there is a newer one.
        const gone = forget(core, user, id)
        await (isEmpty ? gone : gone.catch(() => false))
      }
      return fields
    })

  return {
    get: async (user) => {
      await known(user)
      for await (const memory of memoriesOf(core, user)) {
        const context = contextIn([memory])
        if (context !== undefined) return context
      }
      return nothing
    },
    add: async (user, knowledge, version) => {
      checkDocument(knowledge)
      return await change(user, version, true, (before) => {
        const fields = Object.keys(knowledge).filter((name) => Object.hasOwn(before, name))
        if (fields.length > 0) throw new ApiError('conflict', `there already: ${fields.join(', ')}`, { details: { fields } })
        return { after: { ...before, ...knowledge }, fields: Object.keys(knowledge) }
      })
    },
    merge: async (user, knowledge, version) => {
      checkDocument(knowledge)
      return await change(user, version, false, (before) => ({ after: merge(before, knowledge), fields: pathsIn(knowledge) }))
    },
    remove: async (user, fields, version) =>
      await change(user, version, false, (before) => {
        let after = before
        const gone = (fields ?? Object.keys(before)).filter((path) => {
          const rest = without(after, path)
          after = rest ?? after
          return rest !== undefined
        })
        return { after, fields: gone }
      })
  }
}

const nothing: Context = { knowledge: {}, version: digest('{}') }

/** The newest entry that can be read; a memory that merely looks like one is passed over. */
function contextIn (entries: Memory[]): Context | undefined {
  for (const entry of entries) {
    if (!isContext(entry)) continue
    const json = entry.content.slice(marker.length)
    try {
      return { knowledge: JSON.parse(json) as Document, updatedAt: entry.created_at, version: digest(json) }
    } catch {}
  }
  return undefined
}

function digest (text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 16)
}
