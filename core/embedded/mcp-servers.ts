import type { StoredAgent } from './agents.ts'
import { CoreError } from './envelope.ts'
import { McpConnection } from './mcp-connection.ts'
import { checkAllowed, type McpPolicy, type McpServer } from './mcp-definition.ts'
import { reasonOf } from './mcp-failure.ts'

export const mostServers = 16

/** The connections of all agents to their MCP servers. */
export class McpServers {
  readonly #policy: McpPolicy
  readonly #byAgent = new Map<string, Map<string, McpConnection>>()

  constructor (policy: McpPolicy) {
    this.#policy = policy
  }

  /** The connections of an agent; those that were only recorded so far begin here. */
  of ({ id, mcp_servers: definitions }: StoredAgent): McpConnection[] {
    const own = this.#own(id)
    for (const definition of definitions) {
      if (!own.has(definition.name)) own.set(definition.name, new McpConnection(definition, this.#policy))
    }
    return definitions.flatMap(({ name }) => own.get(name) ?? [])
  }

  one (agent: StoredAgent, name = ''): McpConnection {
    const connection = this.of(agent).find(({ definition }) => definition.name === name)
    if (!connection) throw new CoreError(404, 'MCP_SERVER_NOT_FOUND', `MCP server '${name}' not found`)
    return connection
  }

  /** Connects a server, and records it when that succeeds. */
  async add (agent: StoredAgent, definition: McpServer): Promise<McpConnection> {
    checkAllowed(definition, this.#policy)
    const own = this.#own(agent.id)
    this.of(agent)
    const { name } = definition
    if (own.has(name)) throw new CoreError(409, 'RESOURCE_CONFLICT', `MCP server '${name}' already exists`)
    if (own.size >= mostServers) throw new CoreError(409, 'RESOURCE_CONFLICT', `an agent has at most ${mostServers} MCP servers`)
    const connection = new McpConnection(definition, this.#policy)
    own.set(name, connection)
    try {
      await connection.connect()
    } catch (err) {
      if (own.get(name) === connection) own.delete(name)
      if (err instanceof CoreError) throw err
      const reason = reasonOf(err, Object.values(definition.credentials ?? {}))
      throw new CoreError(502, 'UPSTREAM_ERROR', `MCP server '${name}' could not be connected: ${reason}`)
    }
    agent.mcp_servers.push(definition)
    return connection
  }

  /** Connects all recorded servers of an agent; says how many of them answered. */
  async connectAll (agent: StoredAgent): Promise<number> {
    const outcomes = await Promise.allSettled(this.of(agent).map(async (connection) => { await connection.connect() }))
    return outcomes.filter(({ status }) => status === 'fulfilled').length
  }

  /** Turns away servers that this Core may not connect to. */
  check (definitions: McpServer[]): void {
    for (const definition of definitions) checkAllowed(definition, this.#policy)
  }

  async remove (agent: StoredAgent, name = ''): Promise<void> {
    const connection = this.one(agent, name)
    agent.mcp_servers.splice(agent.mcp_servers.findIndex((definition) => definition.name === name), 1)
    this.#own(agent.id).delete(name)
    await connection.close()
  }

  /** Ends the connections of an agent that is no more. */
  async forget (agent: string): Promise<void> {
    const own = [...this.#own(agent).values()]
    this.#byAgent.delete(agent)
    await Promise.all(own.map(async (connection) => { await connection.close() }))
  }

  async close (): Promise<void> {
    await Promise.all([...this.#byAgent.keys()].map(async (agent) => { await this.forget(agent) }))
  }

  #own (agent: string): Map<string, McpConnection> {
    const own = this.#byAgent.get(agent) ?? new Map<string, McpConnection>()
    this.#byAgent.set(agent, own)
    return own
  }
}
