import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { Ajv, type ErrorObject } from 'ajv'
import { parse as parseYaml } from 'yaml'
import { Config, settings, type Setting } from './schemas/config.ts'

export type { Config } from './schemas/config.ts'

/** Where the value of a setting came from. */
export type Source = 'default' | 'file' | '.env' | 'environment' | 'flag'
export interface Loaded { config: Readonly<Config>, sources: Record<string, Source>, file: string | undefined }
export interface Origins { flags?: Record<string, string | undefined>, env?: Record<string, string | undefined>, cwd?: string }

/** A setting that cannot be used: names it, shows its value (secrets masked) and says what is allowed. */
export class ConfigError extends Error {}

const files = ['muxi-api.yaml', 'muxi-api.yml', 'muxi-api.json']
const ours = /^MUXI_(?:CORE|API|DEV)_/
// Kubernetes writes these for a Service called muxi-api or muxi-core; they are no settings.
const serviceLink = /^MUXI_(?:CORE|API|DEV)_(?:SERVICE_|PORT_\d+_)/
const serviceAddress = /^(?:tcp|udp|sctp):\/\//

const ajv = new Ajv({ allErrors: true, useDefaults: true, allowUnionTypes: true, verbose: true })
ajv.addKeyword('secret')
const valid = ajv.compile<Config>(Config)

/** Merges defaults < file < `.env` < environment < flags into one frozen value, or throws a ConfigError that lists all that is wrong. */
export function loadConfig ({ flags = {}, env = process.env, cwd = process.cwd() }: Origins = {}): Loaded {
  const dotEnv = existsSync(join(cwd, '.env')) ? parseEnv(readFileSync(join(cwd, '.env'), 'utf8')) : {}
  const file = fileToRead(flags.config ?? env.MUXI_API_CONFIG ?? dotEnv.MUXI_API_CONFIG, cwd)
  const values = file === undefined ? {} : readFile(file)
  const sources: Record<string, Source> = Object.fromEntries(settings.map(({ path, group, name }) =>
    [path, groupOf(values, group)?.[name] === undefined ? 'default' : 'file']))

  refuseUnknown({ ...dotEnv, ...env })
  const take = (setting: Setting, text: string | undefined, source: Source) => {
    if (text === undefined || (text === '' && source !== 'flag')) return
    if (setting.schema.type === 'integer' && serviceAddress.test(text)) return
    const group = groupOf(values, setting.group) ?? (values[setting.group] = {})
    group[setting.name] = fromText(setting, text)
    sources[setting.path] = source
  }
  for (const setting of settings) {
    take(setting, dotEnv[setting.env], '.env')
    take(setting, env[setting.env], 'environment')
    take(setting, flags[setting.flag], 'flag')
  }

  if (!valid(values)) throw new ConfigError(valid.errors!.map((error) => explain(error, sources)).join('\n'))
  values.core.uri = normalUri(values.core.uri)
  checkPairs(values)
  return { config: freeze(values), sources, file }
}

/** The value as it may be shown. */
export function shown ({ schema }: Pick<Setting, 'schema'>, value: unknown): string {
  if (value === undefined) return ''
  return schema.secret === true ? '********' : Array.isArray(value) ? value.join(',') : String(value)
}

/** `localhost:3000` to `http://localhost:3000`; a path prefix stays, a slash at its end does not. */
export function normalUri (uri: string): string {
  const full = /^https?:\/\//.test(uri) ? uri : `http://${uri}`
  if (!URL.canParse(full) || new URL(full).port === '0') throw new ConfigError(`core.uri (MUXI_CORE_URI) is "${uri}": must look like "localhost:3000"`)
  const { protocol, host, pathname } = new URL(full)
  return `${protocol}//${host}${pathname.replace(/\/+$/, '')}`
}

function fileToRead (named: string | undefined, cwd: string): string | undefined {
  if (named === undefined) return files.map((name) => join(cwd, name)).find((path) => existsSync(path))
  const path = join(named.startsWith('/') ? '' : cwd, named)
  if (!existsSync(path)) throw new ConfigError(`there is no configuration file ${path}`)
  return path
}

function readFile (path: string): Record<string, Record<string, unknown> | undefined> {
  let value: unknown
  try {
    // YAML 1.2 is a superset of JSON: one reader for both.
    value = parseYaml(readFileSync(path, 'utf8')) ?? {}
  } catch (cause) {
    throw new ConfigError(`${path} cannot be read: ${(cause as Error).message.split('\n')[0]}`, { cause })
  }
  if (typeof value !== 'object' || Array.isArray(value)) throw new ConfigError(`${path} must hold the groups core, api, dev`)
  return value as Record<string, Record<string, unknown>>
}

function groupOf (values: Record<string, unknown>, group: string): Record<string, unknown> | undefined {
  const value = values[group]
  return typeof value === 'object' && value !== null ? value as Record<string, unknown> : undefined
}

function refuseUnknown (env: Record<string, string | undefined>): void {
  const known = new Set(['MUXI_API_CONFIG', ...settings.map((setting) => setting.env)])
  const unknown = Object.keys(env).filter((name) => ours.test(name) && !known.has(name) && !serviceLink.test(name))
  if (unknown.length > 0) throw new ConfigError(unknown.map((name) => `${name} is no setting; \`muxi-api config\` lists them all`).join('\n'))
}

function fromText ({ schema }: Setting, text: string): unknown {
  if (schema.type === 'integer') return /^-?\d+$/.test(text) ? Number(text) : text
  if (schema.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (schema.type === 'array') return text === '' ? [] : text.split(',').map((item) => item.trim())
  return text
}

function explain ({ instancePath, keyword, params, message, data }: ErrorObject, sources: Record<string, Source>): string {
  const [group = '', name, item] = instancePath.slice(1).split('/')
  if (keyword === 'additionalProperties') {
    return `${[group, params.additionalProperty].filter(Boolean).join('.')} is no setting; \`muxi-api config\` lists them all`
  }
  const setting = settings.find(({ path }) => path === `${group}.${name}`)
  if (setting === undefined) return `${group} ${message}`
  const value = setting.schema.secret === true ? '"********"' : JSON.stringify(data)
  const place = sources[setting.path] === 'file' ? setting.path : `${setting.path} (${setting.env})`
  return `${place} is ${value}: ${item === undefined ? '' : 'each item '}${allowed(setting, keyword, params, message)}`
}

function allowed ({ schema }: Setting, keyword: string, params: Record<string, unknown>, message = ''): string {
  if (keyword === 'enum') return `must be one of ${(params.allowedValues as string[]).join(', ')}`
  if (keyword === 'pattern') return `must look like ${JSON.stringify(schema.examples?.[0] ?? schema.default ?? 'printable ASCII without blanks')}`
  if (schema.type === 'integer') return `must be a whole number from ${schema.minimum} to ${schema.maximum}`
  if (schema.type === 'boolean') return 'must be true or false'
  return message
}

function checkPairs ({ api, core }: Config): void {
  for (const [group, { tls_cert: cert, tls_key: key }] of Object.entries({ api, core })) {
    if ((cert === undefined) !== (key === undefined)) throw new ConfigError(`${group}.tls_cert and ${group}.tls_key go together: one of them is unset`)
    for (const path of [cert, key]) {
      if (path !== undefined && !existsSync(path)) throw new ConfigError(`${group}.tls_cert, ${group}.tls_key: there is no file ${path}`)
    }
  }
}

function freeze (config: Config): Readonly<Config> {
  for (const group of Object.values(config)) Object.freeze(group)
  return Object.freeze(config)
}
