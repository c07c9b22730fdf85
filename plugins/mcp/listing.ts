import type { FastifyInstance, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { Capability } from '../../core/capabilities.ts'
import { invalid } from '../../errors.ts'
import { rank } from '../../schemas/contract.ts'
import { metaTools } from './compact.ts'
import type { Feature } from './feature.ts'
import { fits, subsetOf, type Subset } from './subset.ts'
import type { Tool, ToolDefinition } from './tools.ts'

/** One page of the tools; `nextCursor` where there are more. */
export interface ToolPage { tools: ToolDefinition[], nextCursor?: string }

/** Operations as tools, once the list as it is and once as JSON. */
interface Own { tools: ToolDefinition[], json: string }

/** So many that every list that is seen is one page: hosts that read the first page alone miss nothing. */
const pageSize = 100
const mostBytes = 8 * 1_048_576

/** The lists of tools, as each caller sees them: what it may call, what the Core can do, what it asked for; in a stable order. */
export class Listing {
  readonly #app: FastifyInstance
  readonly #tools: ReadonlyMap<string, Tool>
  readonly #features: readonly Feature[]
  /** Callers of one level see one list: it is made once, for as long as the Core offers the same. */
  readonly #made = new LRUCache<string, Own>({ maxSize: mostBytes, sizeCalculation: ({ json }) => json.length + 1_000 })
  /** A feature that keeps its list gives the same array again. */
  readonly #encoded = new WeakMap<ToolDefinition[], string>()
  #capabilities: Capability[] | undefined

  constructor (app: FastifyInstance, tools: ReadonlyMap<string, Tool>, features: readonly Feature[]) {
    this.#app = app
    this.#tools = tools
    this.#features = features
  }

  /** All that the caller may call within what it asked for; in compact mode, too. */
  async callable (request: FastifyRequest): Promise<ToolDefinition[]> {
    const subset = subsetOf(request)
    return [...this.#own(request, subset).tools, ...(await this.#more(request, subset)).flat()]
  }

  /** One page of what is listed. Throws `bad_request` for a cursor that is none of ours. */
  async page (request: FastifyRequest, cursor?: string): Promise<ToolPage> {
    const tools = subsetOf(request).isCompact ? metaTools : await this.callable(request)
    const start = cursor === undefined || cursor === '' ? 0 : placeOf(cursor, tools)
    const end = start + pageSize
    return { tools: tools.slice(start, end), ...(end < tools.length && { nextCursor: cursorAt(end, tools[end - 1]!.name) }) }
  }

  /** The members of the first page as JSON, put together from what was encoded before. */
  async json (request: FastifyRequest): Promise<string> {
    const subset = subsetOf(request)
    if (!subset.isCompact) {
      const own = this.#own(request, subset)
      const more = (await this.#more(request, subset)).filter(({ length }) => length > 0)
      if (more.reduce((sum, { length }) => sum + length, own.tools.length) <= pageSize) return `"tools":[${[own.json, ...more.map((list) => this.#encode(list))].filter((json) => json !== '').join()}]`
    }
    return JSON.stringify(await this.page(request)).slice(1, -1)
  }

  #own ({ caller: { access, scope } }: FastifyRequest, subset: Subset): Own {
    const { core } = this.#app
    this.#capabilities ??= [...new Set([...this.#tools.values()].flatMap(({ operation: { capability } }) => capability ?? []))]
    const key = `${access} ${this.#capabilities.map((capability) => core.offers(capability) ? 1 : 0).join('')} ${subset.key} ${scope?.join() ?? ''}`
    let own = this.#made.get(key)
    if (own === undefined) {
      const tools = [...this.#tools.values()]
        .filter(({ operation: { id, access: needed, capability } }) => rank[access] >= rank[needed] && (capability === undefined || core.offers(capability)) &&
          subset.includes(id) && (scope === undefined || needed === 'public' || scope.some((name) => fits(id, name))))
        .map(({ definition }) => definition)
      this.#made.set(key, own = { tools, json: elementsOf(tools) })
    }
    return own
  }

  async #more (request: FastifyRequest, subset: Subset): Promise<ToolDefinition[][]> {
    const lists = await Promise.all(this.#features.map(async ({ tools }) => await tools?.list(request) ?? []))
    return subset.key === '' ? lists : lists.map((list) => list.filter(({ name }) => subset.includes(name)))
  }

  #encode (list: ToolDefinition[]): string {
    let json = this.#encoded.get(list)
    if (json === undefined) this.#encoded.set(list, json = elementsOf(list))
    return json
  }
}

function elementsOf (list: ToolDefinition[]): string {
  return JSON.stringify(list).slice(1, -1)
}

/** Behind which tool the next page begins: a list may have grown or shrunk meanwhile. */
function cursorAt (index: number, name: string): string {
  return Buffer.from(JSON.stringify([index, name])).toString('base64url')
}

function placeOf (cursor: string, tools: ToolDefinition[]): number {
  const bad = invalid('cursor', 'is none of this list: begin without one')
  let place: unknown
  try {
    place = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    throw bad
  }
  const [index, name] = Array.isArray(place) ? place as [unknown, unknown] : []
  if (!Number.isSafeInteger(index) || (index as number) < 1 || typeof name !== 'string') throw bad
  const found = tools.findIndex((tool) => tool.name === name)
  return found >= 0 ? found + 1 : index as number
}
