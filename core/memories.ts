import { ApiError } from '../errors.ts'
import type { CoreCalls } from './types.ts'
import { isKnown, unlessMissing } from './users.ts'

/** One lasting memory of a user, as the Core lists it. */
export interface Memory { id: string, content: string, created_at?: number | string }

/** What the Core remembers of users. */
export interface Memories {
  /** Those of a user that share words with the query, the most alike first. */
  search: (user: string, query: string, limit: number) => Promise<(Memory & { similarity: number })[]>
  /** Forgets those of a user; answers how many they were. */
  clear: (user: string) => Promise<number>
}

const pageSize = 100
/** A search looks at this many, the newest. */
const mostSearched = 1_000
const mostPages = 100

/** Search and clearing over the Core's plain list of memories. `isOurs` tells entries that are no memories but notes of this server. */
export function listedMemories (core: CoreCalls, isOurs: (memory: Memory) => boolean): Memories {
  return {
    search: async (user, query, limit) => {
      if (!await isKnown(core, user)) return []
      const wanted = wordsIn(query)
      const found: (Memory & { similarity: number })[] = []
      let seen = 0
      for await (const memory of memoriesOf(core, user)) {
        if (++seen > mostSearched) break
        if (isOurs(memory)) continue
        const words = wordsIn(memory.content)
        const shared = [...wanted].filter((word) => words.has(word)).length
        if (shared > 0) found.push({ ...memory, similarity: Math.round(shared / wanted.size * 1_000) / 1_000 })
      }
      // Stable: of equals the newest stays first.
      return found.sort((a, b) => b.similarity - a.similarity).slice(0, limit)
    },
    clear: async (user) => {
      if (!await isKnown(core, user)) return 0
      // The Core deletes by id and does not ask whose it is: only what stands in this user's own list.
      const ids: string[] = []
      for await (const memory of memoriesOf(core, user)) if (!isOurs(memory)) ids.push(memory.id)
      let cleared = 0
      for (const id of ids) if (await forget(core, user, id)) cleared++
      return cleared
    }
  }
}

/** Every memory of a user, newest first. Not those of scopes that the user shares with others. */
export async function * memoriesOf (core: CoreCalls, user: string): AsyncGenerator<Memory, void, undefined> {
  for (let page = 0; page < mostPages; page++) {
    const { memories = [] } = await core.get<{ memories?: { id: string, content?: unknown, created_at?: number | string }[] }>(
      `/memories?limit=${pageSize}&offset=${page * pageSize}&scopes=user`, { user })
    for (const { content, ...memory } of memories) yield { ...memory, content: typeof content === 'string' ? content : JSON.stringify(content ?? '') }
    if (memories.length < pageSize) return
  }
  throw new ApiError('core_error', `the MUXI Core remembers more than ${mostPages * pageSize} things of this user`)
}

/** Deletes a memory that was found in the user's own list; false when it was gone already. */
export async function forget (core: CoreCalls, user: string, id: string): Promise<boolean> {
  return await unlessMissing(async () => await core.delete(`/memories/${encodeURIComponent(id)}`, { user }))
}

function wordsIn (text: string): Set<string> {
  return new Set(text.normalize('NFKC').toLowerCase().match(/[\p{L}\p{N}]+/gu))
}
