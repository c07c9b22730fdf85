import { acceptedContent, inputRequired } from '@modelcontextprotocol/server'
import type { FastifyInstance } from 'fastify'
import { afterEach, expect, vi } from 'vitest'
import { buildApp } from '../../../app.ts'
import type { EmbeddedCore } from '../../../core/embedded/index.ts'
import type { Feature } from '../../../plugins/mcp/feature.ts'
import { as, configFor, Lines, test as base } from '../../app.ts'

interface Reply { result?: { resultType?: string, requestState?: string, content?: { text: string }[] }, error?: { code: number, message: string } }
interface Asked { tool?: string, args?: object, state?: string, level?: 'user' | 'admin', user?: string }

const secret = 'k'.repeat(32)
const envelope = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} } }

/** A tool that asks for a colour, and signs what it was called with; another of the same kind. */
function asking ({ mcp: { requestState } }: FastifyInstance): Feature {
  return {
    tools: {
      list: async () => [],
      call: (name, args, _, context) => name !== 'paint' && name !== 'repaint'
        ? undefined
        : (async () => {
            const state = context.mcpReq.requestState<{ args: object }>()
            const { color } = acceptedContent(context.mcpReq.inputResponses, 'color') ?? {}
            if (state !== undefined) return { content: [{ type: 'text', text: `${JSON.stringify(state.args)} in ${String(color)}` }] }
            const question = inputRequired.elicit({ message: 'Which colour?', requestedSchema: { type: 'object', properties: { color: { type: 'string' } } } })
            return inputRequired({ inputRequests: { color: question }, requestState: await requestState.mint({ args }, context) })
          })()
    }
  }
}

async function ask (app: FastifyInstance, { tool = 'paint', args = { wall: 'north', coats: 2 }, state, level = 'admin', user }: Asked = {}): Promise<Reply> {
  const { body } = await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: { ...as(level), host: 'localhost', accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': tool, ...(user !== undefined && { 'x-user-id': user }) },
    payload: {
      jsonrpc: '2.0',
      id: state === undefined ? 1 : 2,
      method: 'tools/call',
      params: { _meta: envelope, name: tool, arguments: args, ...(state !== undefined && { requestState: state, inputResponses: { color: { action: 'accept', content: { color: 'blue' } } } }) }
    }
  })
  return JSON.parse(body) as Reply
}

const minted = async (app: FastifyInstance, asked?: Asked) => (await ask(app, asked)).result!.requestState!

async function started (core: EmbeddedCore, settings?: Record<string, string>): Promise<FastifyInstance> {
  const app = await buildApp(configFor(core, settings), new Lines())
  app.mcp.features.push(asking(app))
  await app.ready()
  return app
}

/** Two instances that share a secret. */
const test = base.extend<{ one: FastifyInstance, other: FastifyInstance }>({
  one: async ({ core }, use) => {
    const app = await started(core, { MUXI_API_SECRET: secret })
    await use(app)
    await app.close()
  },
  other: async ({ core }, use) => {
    const app = await started(core, { MUXI_API_SECRET: secret })
    await use(app)
    await app.close()
  }
})

const refused = { error: { code: -32_602, message: 'Invalid or expired requestState' } }

afterEach(() => { vi.useRealTimers() })

test('what a call has signed comes back to it, also at another instance', async ({ one, other }) => {
  const state = await minted(one)
  const here = await ask(one, { state })
  const there = await ask(other, { state })

  expect(here.result).toMatchObject({ content: [{ text: '{"wall":"north","coats":2} in blue' }] })
  expect(there.result?.content).toEqual(here.result?.content)
})

test('the order in which a client writes arguments does not matter', async ({ one }) => {
  const state = await minted(one)
  const { result } = await ask(one, { state, args: { coats: 2, wall: 'north' } })

  expect(result?.resultType).toBe('complete')
})

test.for<[string, Asked]>([
  ['another caller', { level: 'user' }],
  ['another user of the same key', { user: 'eve' }],
  ['other arguments', { args: { wall: 'south', coats: 2 } }],
  ['another tool', { tool: 'repaint' }]
])('%s cannot use it', async ([, changed], { one }) => {
  const state = await minted(one)
  const reply = await ask(one, { ...changed, state })

  expect(reply).toMatchObject(refused)
})

test('a state that was changed is refused', async ({ one }) => {
  const [version, body, mac] = (await minted(one)).split('.') as [string, string, string]
  const forged = Buffer.from(Buffer.from(body, 'base64url').toString().replace('north', 'south')).toString('base64url')
  const replies = await Promise.all([`${version}.${forged}.${mac}`, `${version}.${body}.${mac}-`, `${version}.${body}`, ''].map(async (state) => await ask(one, { state })))

  for (const reply of replies) expect(reply).toMatchObject(refused)
})

test('a state expires', async ({ one }) => {
  const state = await minted(one)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 901_000 })
  const reply = await ask(one, { state })

  expect(reply).toMatchObject(refused)
})

test('an instance with another secret refuses it', async ({ one, core }) => {
  const stranger = await started(core)
  const state = await minted(one)
  const reply = await ask(stranger, { state })
  await stranger.close()

  expect(reply).toMatchObject(refused)
})
