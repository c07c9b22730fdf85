import type { CallToolResult, Tool } from '@modelcontextprotocol/client'
import { seconds } from './envelope.ts'
import { checkAllowed, type McpPolicy, type McpServer } from './mcp-definition.ts'
import { isGone, isUntouched } from './mcp-failure.ts'
import type { Link } from './mcp-link.ts'

export interface ConnectionStats { connection_age_s: number, idle_time_s: number, active_requests: number, pid?: number }

const retryMs = 5_000

/** The link of one agent to one MCP server; it comes back by itself when it is used after it broke. */
export class McpConnection {
  readonly definition: McpServer
  /** as last heard */
  tools: Tool[] = []
  connectTime = 0
  lastActivity = 0
  readonly #policy: McpPolicy
  #link: Link | undefined
  #opening: Promise<Link> | undefined
  #active = 0
  #tried = 0
  readonly #closing = new AbortController()

  constructor (definition: McpServer, policy: McpPolicy) {
    this.definition = definition
    this.#policy = policy
  }

  get isConnected (): boolean {
    return this.#link !== undefined
  }

  get sessionId (): string | undefined {
    return this.#link?.sessionId
  }

  stats (now = seconds()): ConnectionStats {
    const pid = this.#link?.pid
    const since = (time: number) => time === 0 ? 0 : Math.max(0, Math.round(now - time))
    return {
      connection_age_s: this.isConnected ? since(this.connectTime) : 0,
      idle_time_s: since(this.lastActivity),
      active_requests: this.#active,
      ...(pid !== undefined && { pid })
    }
  }

  /** Connects, unless it is connected. */
  async connect (): Promise<void> {
    await this.#ready()
  }

  /** Connects without anybody waiting for it, at most every 5 s. */
  revive (): void {
    if (!this.isConnected && Date.now() - this.#tried > retryMs) this.connect().catch(() => {})
  }

  /** Asks the server for its tools again. */
  async refresh (): Promise<void> {
    await this.#use(async (link) => { this.tools = await link.listTools() })
  }

  async call (name: string, parameters: Record<string, unknown>, signal: AbortSignal): Promise<CallToolResult> {
    return await this.#use(async (link) => await link.call(name, parameters, signal))
  }

  async close (): Promise<void> {
    this.#closing.abort()
    await this.#opening?.catch(() => {})
    await this.#drop(this.#link)
  }

  async #use<T> (action: (link: Link) => Promise<T>): Promise<T> {
    this.#active++
    try {
      const link = await this.#ready()
      try {
        return await action(link)
      } catch (err) {
        if (!isGone(err)) throw err
        await this.#drop(link)
        if (!isUntouched(err)) throw err
        return await action(await this.#ready())
      }
    } finally {
      this.#active--
      this.lastActivity = seconds()
    }
  }

  async #ready (): Promise<Link> {
    this.#closing.signal.throwIfAborted()
    if (this.#link) return this.#link
    this.#opening ??= this.#open().finally(() => { this.#opening = undefined })
    return await this.#opening
  }

  async #open (): Promise<Link> {
    this.#tried = Date.now()
    checkAllowed(this.definition, this.#policy)
    // the client is large: a Core whose agents have no servers does without it
    const { connect } = await import('./mcp-link.ts')
    const link = await connect(this.definition, {
      signal: this.#closing.signal,
      onTools: (tools) => { this.tools = tools },
      onClose: (link) => { if (this.#link === link) this.#link = undefined }
    })
    this.connectTime = this.lastActivity = seconds()
    return this.#link = link
  }

  async #drop (link: Link | undefined): Promise<void> {
    if (!link) return
    if (this.#link === link) this.#link = undefined
    await link.close()
  }
}
