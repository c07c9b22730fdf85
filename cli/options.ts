import { parseArgs, type ParseArgsConfig } from 'node:util'
import { loadConfig, type Loaded } from '../config.ts'
import { settings } from '../schemas/config.ts'
import { UsageError } from './usage.ts'

/** Reads the flags of a command: those given and, for every setting, its own. */
export function flagsOf (args: string[], own: NonNullable<ParseArgsConfig['options']> = {}): Record<string, string | boolean | undefined> {
  const options: NonNullable<ParseArgsConfig['options']> = { help: { type: 'boolean', short: 'h' }, config: { type: 'string', short: 'c' }, ...own }
  for (const { flag } of settings) options[flag] = { type: 'string' }
  try {
    return parseArgs({ args, options, allowPositionals: false }).values as Record<string, string | boolean | undefined>
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0], { cause: error })
  }
}

/** The configuration with the flags of a command on top. */
export function configOf (flags: Record<string, string | boolean | undefined>): Loaded {
  return loadConfig({ flags: Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, typeof value === 'string' ? value : undefined])) })
}

/** The settings as help text. */
export function settingsHelp (group?: string): string {
  const rows = settings.filter((setting) => group === undefined || setting.group === group)
  return rows.map(({ flag, env, schema }) => `  --${flag.padEnd(26)} ${env}${schema.default === undefined || schema.default === '' ? '' : ` [${String(schema.default)}]`}`).join('\n')
}
