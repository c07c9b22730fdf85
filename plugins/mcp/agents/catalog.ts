import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Departure } from '../../../core/departure.ts'
import type { CoreAgent, CoreMcpServer } from '../../../core/types.ts'
import type { Changes } from '../changes.ts'
import type { ToolDefinition } from '../tools.ts'
import { toolsIn, type AgentTool, type ServerTools } from './definitions.ts'

/** How long a list is believed. */
const freshMs = 60_000
/** The same where a part of it could not be read. */
const partMs = 10_000
/** How long a list waits for tool servers: those that are late keep the tools that they had. */
const patienceMs = 3_000
const abreast = 8
/** An unknown name may be one that another instance has just got to know; not more often than this. */
const againMs = 2_000
/** Operations that come one after the other are looked at together. */
const togetherMs = 100

/**
 * The tools of all agents' tool servers, as the Core knows them: read when they are asked for, at most once a minute, and when something may have changed them.
 * What comes out is the same for every admin. A Core or server that fails leaves what was known before.
 */
export class Catalog {
  readonly #app: FastifyInstance
  readonly #changes: Pick<Changes, 'publish' | 'follow'>
  #servers: ServerTools[] = []
  #tools = new Map<string, AgentTool>()
  #definitions: ToolDefinition[] = []
  #json: string | undefined
  #freshUntil = 0
  #readAt = -Infinity
  /** Grows when something may have changed; a list that was begun before is not enough. */
  #marks = 1
  #read = 0
  #wasTold = false
  #reading: Promise<void> | undefined
  #soon: NodeJS.Timeout | undefined
  #letGo: (() => void) | undefined

  constructor (app: FastifyInstance, changes: Pick<Changes, 'publish' | 'follow'>) {
    this.#app = app
    this.#changes = changes
  }

  /** What is listed; the same array for as long as nothing changes. */
  async list (request: FastifyRequest): Promise<ToolDefinition[]> {
    await this.#current(request)
    return this.#definitions
  }

  async find (name: string, request: FastifyRequest): Promise<AgentTool | undefined> {
    await this.#current(request)
    const known = this.#tools.get(name)
    if (known !== undefined || performance.now() - this.#readAt < againMs) return known
    this.mark()
    await this.#current(request)
    return this.#tools.get(name)
  }

  /** The next who asks gets a list that is read from now on. */
  mark (): void {
    this.#marks++
  }

  /** Looks what an operation of this request came to, and tells whoever wants to know. */
  lookSoon (request: FastifyRequest): void {
    // Where nobody has asked there is nothing to compare with.
    if (this.#json === undefined) {
      this.#changes.publish({ kind: 'tools' })
      return
    }
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined
      this.#current(request).catch(() => {})
    }, togetherMs)
  }

  close (): void {
    clearTimeout(this.#soon)
    this.#letGo?.()
  }

  async #current (request: FastifyRequest): Promise<void> {
    this.#letGo ??= this.#changes.follow(({ kind }) => {
      if (kind !== 'tools') return
      this.#wasTold = true
      this.mark()
    })
    if (this.#isFresh()) return
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => { timer = setTimeout(resolve, patienceMs) })
    // One that was begun before the last mark is followed by another.
    for (let round = 0; round < 2 && !this.#isFresh(); round++) {
      this.#reading ??= this.#readAll(request).finally(() => { this.#reading = undefined })
      await Promise.race([this.#reading, late])
    }
    clearTimeout(timer)
  }

  #isFresh (): boolean {
    return this.#read === this.#marks && performance.now() < this.#freshUntil
  }

  async #readAll (request: FastifyRequest): Promise<void> {
    const mark = this.#marks
    const wasTold = this.#wasTold
    this.#wasTold = false
    // The list is for all who ask, so it does not end with the one who asked first.
    const signal = new Departure()
    const timer = setTimeout(() => { signal.leave() }, patienceMs)
    let isWhole = false
    try {
      const { agents = [] } = await request.core.get<{ agents?: CoreAgent[] }>('/agents', { signal })
      const wanted = agents.flatMap(({ id, mcp_servers: servers = [] }) => servers.flatMap(({ name }) => name === undefined ? [] : { agent: id, server: name }))
      const found: (ServerTools | undefined)[] = []
      for (let at = 0; at < wanted.length; at += abreast) found.push(...await Promise.all(wanted.slice(at, at + abreast).map(async (place) => await this.#serverOf(request, place, signal))))
      isWhole = !found.includes(undefined)
      const before = new Map(this.#servers.map((one) => [keyOf(one), one]))
      this.#take(wanted.flatMap((place, i) => found[i] ?? before.get(keyOf(place)) ?? []), wasTold)
    } catch (err) {
      this.#app.log.debug({ err }, 'the tools of agents could not be read')
    } finally {
      clearTimeout(timer)
    }
    this.#read = mark
    this.#readAt = performance.now()
    this.#freshUntil = this.#readAt + (isWhole ? freshMs : partMs)
  }

  /** undefined where it cannot be told now. */
  async #serverOf (request: FastifyRequest, place: { agent: string, server: string }, signal: Departure): Promise<ServerTools | undefined> {
    const { agent, server } = place
    try {
      const { connected, available_tools: tools = [] } = await request.core.get<CoreMcpServer>(`/agents/${encodeURIComponent(agent)}/mcp/servers/${encodeURIComponent(server)}`, { signal })
      return { ...place, tools: connected === false ? [] : tools }
    } catch {
      return undefined
    }
  }

  #take (servers: ServerTools[], wasTold: boolean): void {
    this.#servers = servers
    const tools = toolsIn(servers)
    const definitions = tools.map(({ definition }) => definition)
    const json = JSON.stringify(definitions)
    const before = this.#json
    this.#json = json
    this.#tools = new Map(tools.map((tool) => [tool.definition.name, tool]))
    if (json === before) return
    this.#definitions = definitions
    // Who was told of it by another need not tell the others.
    if (before !== undefined && !wasTold) this.#changes.publish({ kind: 'tools' })
  }
}

function keyOf ({ agent, server }: { agent: string, server: string }): string {
  return JSON.stringify([agent, server])
}
