import { buildApp } from '../app.ts'
import { configOf, flagsOf } from './options.ts'

export const help = `muxi-api routes: list every operation: method, path, operation id, access level, MCP tool, capability of the Core

Options:
  --json   as JSON
`

/** Prints the operations table. */
export default async function (args: string[]): Promise<void> {
  const flags = flagsOf(args, { json: { type: 'boolean' } })
  const { config } = configOf({ ...flags, 'log-level': 'silent' })
  const app = await buildApp(config)
  await app.ready()
  const rows = app.operations.filter(({ hidden }) => !hidden).map(({ method, url, id, access, capability = '-' }) =>
    ({ method, path: url, operation: id, access, tool: app.mcp.tools.has(id) ? 'yes' : '-', capability }))
  await app.close()
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`)
    return
  }
  const columns = ['method', 'path', 'operation', 'access', 'tool', 'capability'] as const
  const widths = columns.map((column) => Math.max(column.length, ...rows.map((row) => row[column].length)))
  for (const row of [Object.fromEntries(columns.map((column) => [column, column.toUpperCase()])) as (typeof rows)[number], ...rows]) {
    process.stdout.write(`${columns.map((column, index) => row[column].padEnd(widths[index]!)).join('  ').trimEnd()}\n`)
  }
}
