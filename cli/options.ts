import { parseArgs, type ParseArgsConfig } from 'node:util'
import { loadConfig, type Config, type Loaded, type SettingsSource } from '../config.ts'
import { settings } from '../schemas/config.ts'
import { UsageError } from './usage.ts'

/** Reads the flags of a command: those given and, for every setting, its own. */
export function flagsOf (args: string[], own: NonNullable<ParseArgsConfig['options']> = {}): Record<string, string | boolean | undefined> {
  const options: NonNullable<ParseArgsConfig['options']> = { help: { type: 'boolean', short: 'h' }, config: { type: 'string', short: 'c' }, ...own }
  for (const name of settings.flatMap(({ flag, file }) => file === undefined ? [flag] : [flag, file.flag])) options[name] = { type: 'string' }
  try {
    return parseArgs({ args, options, allowPositionals: false }).values as Record<string, string | boolean | undefined>
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0], { cause: error })
  }
}

/** The configuration with the flags of a command on top. */
export function configOf (flags: Record<string, string | boolean | undefined>, onFile?: (path: string) => void): Loaded {
  return loadConfig({ onFile, flags: Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, typeof value === 'string' ? value : undefined])) })
}

/** The same configuration, read anew each time; `adapt` does to it what the command did at its start. */
export function sourceOf (flags: Record<string, string | boolean | undefined>, adapt = (config: Readonly<Config>) => config): SettingsSource {
  let files = new Set<string>()
  return {
    files: () => files,
    load: () => {
      files = new Set()
      return adapt(configOf(flags, (path) => { files.add(path) }).config)
    }
  }
}

/** The settings as help text. */
export function settingsHelp (group?: string): string {
  const rows = settings.filter((setting) => group === undefined || setting.group === group)
  return rows.map(({ flag, env, file, schema }) =>
    `  --${flag.padEnd(26)} ${env}${schema.default === undefined || schema.default === '' ? '' : ` [${String(schema.default)}]`}${file === undefined ? '' : `; a file that holds it: --${file.flag}, ${file.env}`}`).join('\n')
}
