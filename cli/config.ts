import { settings } from '../schemas/config.ts'
import { shown } from '../config.ts'
import { configOf, flagsOf } from './options.ts'

export const help = `muxi-api config: show every setting, its value and where it came from; secrets are masked

\`reload\` marks what SIGHUP or a change of the file changes in a running server, \`restart\` what it does not.

Options:
  -c, --config FILE   configuration file
  --check             say only whether the configuration is valid (exit code 0 or 1)
  --json              as JSON
  and every setting as a flag, as for \`muxi-api start\`
`

/** Prints the effective settings. */
export default async function (args: string[]): Promise<void> {
  const flags = flagsOf(args, { check: { type: 'boolean' }, json: { type: 'boolean' } })
  const { config, sources, file } = configOf(flags)
  if (flags.check === true) {
    process.stdout.write('the configuration is valid\n')
    return
  }
  const rows = settings.map((setting) => ({
    setting: setting.path,
    value: shown(setting, (config[setting.group] as Record<string, unknown>)[setting.name]),
    source: sources[setting.path] ?? 'default',
    environment: setting.env,
    reload: setting.schema.reload === true,
    description: setting.schema.description
  }))
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ file, settings: rows }, undefined, 2)}\n`)
    return
  }
  if (file !== undefined) process.stdout.write(`file: ${file}\n`)
  for (const { setting, value, source, environment, reload, description } of rows) {
    process.stdout.write(`${setting.padEnd(26)} ${(value === '' ? '-' : value).padEnd(26)} ${source.padEnd(12)} ${environment.padEnd(32)} ${(reload ? 'reload' : 'restart').padEnd(7)} ${description}\n`)
  }
}
