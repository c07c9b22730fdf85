import { Tiktoken } from 'js-tiktoken/lite'
import o200k from 'js-tiktoken/ranks/o200k_base'
import { buildApp } from '../app.ts'
import { loadConfig } from '../config.ts'
import { startEmbeddedCore } from '../core/embedded/index.ts'

/** What a list of tools costs its host's model, counted with the tokenizer of a current one (o200k_base). Agents have no tools here: each of theirs comes on top. */
interface Listed { tools: { name: string, description: string, inputSchema: object }[] }

const core = await startEmbeddedCore()
const env = { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: core.adminKey, MUXI_CORE_CLIENT_KEY: core.userKey, MUXI_API_LOG_LEVEL: 'silent' }
const app = await buildApp(loadConfig({ env, cwd: '/nonexistent' }).config)
await app.ready()
await app.core.check()
const encoder = new Tiktoken(o200k)
const tokens = (value: unknown) => encoder.encode(JSON.stringify(value)).length.toLocaleString('en')

const rows = await Promise.all([
  ['all, user key', core.userKey, ''],
  ['all, admin key', core.adminKey, ''],
  ['`?tools=agent_*,chat_send`, admin key', core.adminKey, '?tools=agent_*,chat_send'],
  ['`?tools=compact`, any key', core.adminKey, '?tools=compact']
].map(async ([what, key, query]) => {
  const { body } = await app.inject({ url: `/mcp${query}`, method: 'POST', headers: { authorization: `Bearer ${key}`, host: 'localhost', accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/list' } })
  const { result: { tools } } = JSON.parse(body.replace(/^event: message\ndata: /, '')) as { result: Listed }
  return `| ${what} | ${tools.length} | ${tokens(tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema })))} | ${tokens(tools)} |`
}))
console.log(['| list | tools | tokens: names, descriptions, arguments | tokens: everything |', '| --- | --- | --- | --- |', ...rows].join('\n'))

await app.close()
await core.close()
