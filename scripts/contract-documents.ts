import type { FastifyInstance } from 'fastify'
import { buildApp } from '../app.ts'
import { loadConfig } from '../config.ts'
import { capabilities } from '../core/capabilities.ts'
import { reasonAgainst } from '../plugins/mcp/tools.ts'
import type { Access } from '../schemas/contract.ts'
import { migrationPage } from './migration-page.ts'

/** The documents that follow from the contracts, as they are committed: by path, relative to the project. */
export async function contractDocuments (): Promise<Record<string, string>> {
  const { config } = loadConfig({ env: { MUXI_API_LOG_LEVEL: 'silent' }, cwd: '/nonexistent' })
  const app = await buildApp(config)
  await app.ready()
  const files = {
    'openapi.json': json(app.openapi()),
    'openapi-3.2.json': json(app.openapiNext()),
    'asyncapi.json': json(app.asyncapi()),
    'mcp-tools.json': json({ tools: [...app.mcp.tools.values()].map(({ definition }) => definition) }),
    'docs/reference/operations.md': operationsTable(app),
    'docs/migration.md': migrationPage(app)
  }
  await app.close()
  return files
}

function json (value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

function operationsTable ({ operations }: FastifyInstance): string {
  const rows = operations.filter(({ hidden }) => !hidden).map((operation) => {
    const { id, method, url, access, capability, prefers, contract } = operation
    const against = reasonAgainst(operation)
    const named = (name: keyof typeof capabilities) => `${name} (\`${capabilities[name]}\`)`
    const core = [capability === undefined ? [] : named(capability), prefers === undefined ? [] : `in part without ${named(prefers)}`].flat().join('; ')
    return `| ${method} | \`${url.replaceAll(/:([a-z_]+)/g, '{$1}')}\` | \`${id}\` | ${access} | ${against === undefined ? 'yes' : `no: ${against}`} | ${core} | ${contract.summary} |`
  })
  return [
    '# Operations',
    '',
    'Every operation of the server. Made from the contracts by `npm run contract`; do not edit.',
    '',
    'Level: `public` needs no key, `user` a user key or an admin key, `admin` an admin key. A tool has the name of its operation.',
    'Capability: what the MUXI Core must offer; a Core without it makes the operation answer 501 `not_implemented` and hides the tool.',
    'Where the table says "in part without", such a Core still serves what it can; the rest is 501.',
    '',
    ...levelsTable(operations),
    '',
    '## All of them',
    '',
    '| method | path | operation id | level | MCP tool | Core capability | what it does |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    ''
  ].join('\n')
}

/** What each level opens beyond the one below, and which of it only reads. */
function levelsTable (operations: FastifyInstance['operations']): string[] {
  const shown = operations.filter(({ hidden }) => !hidden)
  const count = (number: number) => `${number} of ${shown.length}`
  const rows = (['public', 'user', 'admin'] satisfies Access[]).map((level) => {
    const own = shown.filter(({ access }) => access === level)
    const tools = own.filter((operation) => reasonAgainst(operation) === undefined).length
    return `| ${level} | ${count(own.length)} | ${tools} | ${own.map(({ id, method }) => `\`${id}\`${method === 'GET' ? '' : '*'}`).join(', ')} |`
  })
  return [
    '## By access level',
    '',
    'A level opens what stands in its row and in those above; `*` marks what is no mere reading.',
    '',
    '| level | operations | of them tools | which |',
    '| --- | --- | --- | --- |',
    ...rows
  ]
}
