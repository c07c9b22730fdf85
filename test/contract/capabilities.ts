import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import type { Capability } from '../../core/capabilities.ts'
import { asTool, toolsFor } from './client.ts'
import { call, type ContractTest, errorOf, jsonOf, type Target } from './target.ts'

/** Operations that have nothing to give without a capability; those that are not here give less, or the same in another way. */
const needed = {
  'agents.create': 'agent_create',
  'agents.update': 'agent_update',
  'agents.delete': 'agent_delete',
  'agents.import': 'agent_import',
  'users.list': 'user_list',
  'mcp_servers.connect': 'mcp_server_connect',
  'mcp_servers.disconnect': 'mcp_server_disconnect',
  'knowledge.create': 'knowledge_create',
  'knowledge.delete': 'knowledge_delete',
  'knowledge.search': 'knowledge_search'
} as const satisfies Partial<Record<Capability, string>>
type Needed = keyof typeof needed
interface Tool { name: string, inputSchema: { properties: object } }
const { tools: all } = JSON.parse(readFileSync('mcp-tools.json', 'utf8')) as { tools: Tool[] }
/** What a tool must be told before it can find its operation. */
const places = { agent_id: 'nobody', server_name: 'nothing', knowledge_id: 'nothing' }

/** Whether the Core lacks a capability: the one thing in which targets may differ. Then the answer must say so, no tool may offer it, and the status must list it. */
export async function lacks (target: Target, capability: Capability, res: Response): Promise<boolean> {
  if (!target.missing.includes(capability)) return false

  expect(res.status).toBe(501)
  expect(await errorOf(res)).toMatchObject({ code: 'not_implemented', details: { capability } })
  expect((await statusOf(target)).missing_capabilities).toContain(capability)
  if (capability in needed) expect(await toolsFor(target, 'admin')).not.toContain(needed[capability as Needed])
  return true
}

/** How a server tells what its Core cannot do. */
export function capabilityCases (test: ContractTest): void {
  test('system_status_get lists what the Core cannot do, and nothing else', async ({ target }) => {
    expect((await statusOf(target)).missing_capabilities).toEqual(target.missing)
  })

  test('tools/list shows an admin every tool but those that need what the Core cannot do', async ({ target }) => {
    const gone = Object.entries(needed).filter(([capability]) => target.missing.includes(capability as Needed)).map(([, name]) => name as string)

    expect((await toolsFor(target, 'admin')).sort()).toEqual(all.map(({ name }) => name).filter((name) => !gone.includes(name)).sort())
  })

  test.for(Object.entries(needed))('what needs %s says so when it is called as a tool all the same: %s', async ([capability, name], { target }) => {
    const { properties } = all.find((tool) => tool.name === name)!.inputSchema
    const answer = await asTool(target, 'admin', name, Object.fromEntries(Object.entries(places).filter(([argument]) => argument in properties)))

    if (target.missing.includes(capability as Needed)) expect(answer).toMatchObject({ error: { code: 'not_implemented', details: { capability } } })
    else expect(answer).not.toMatchObject({ error: { code: 'not_implemented' } })
  })
}

async function statusOf (target: Target): Promise<{ missing_capabilities: string[] }> {
  return await jsonOf(await call(target, 'admin', '/api/v1/system/status'))
}
