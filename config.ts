import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
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
// Kubernetes writes these for a Service whose name begins with muxi-api or muxi-core; they are no settings.
const serviceLink = /_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)$/
const serviceAddress = /^(?:tcp|udp|sctp):\/\//

const ajv = new Ajv({ allErrors: true, useDefaults: true, allowUnionTypes: true, verbose: true })
ajv.addKeyword('secret')
const valid = ajv.compile<Config>(Config)

const isUri = (text: string) => URL.canParse(withScheme(text)) && new URL(withScheme(text)).port !== '0'

/** What no pattern can say of a text. */
const beyondPattern: Record<string, (text: string) => boolean> = {
  'core.uri': isUri,
  'core.fallback_uris': isUri,
  'api.trust_proxy': (text) => {
    const [address = '', bits] = text.split('/')
    return isIP(address) !== 0 && Number(bits ?? 0) <= (isIP(address) === 4 ? 32 : 128)
  }
}

/** Merges defaults < file < `.env` < environment < flags into one frozen value, or throws a ConfigError with a line for each thing that is wrong. */
export function loadConfig ({ flags = {}, env = process.env, cwd = process.cwd() }: Origins = {}): Loaded {
  const dotEnv = existsSync(join(cwd, '.env')) ? parseEnv(readFileSync(join(cwd, '.env'), 'utf8')) : {}
  const file = fileToRead(flags.config ?? (env.MUXI_API_CONFIG || dotEnv.MUXI_API_CONFIG || undefined), cwd)
  const values = file === undefined ? {} : readFile(file)
  const sources: Record<string, Source> = Object.fromEntries(settings.map(({ path, group, name }) =>
    [path, groupOf(values, group)?.[name] === undefined ? 'default' : 'file']))

  const take = (setting: Setting, text: string | undefined, source: Source) => {
    if (text === undefined || (text === '' && source !== 'flag')) return
    if (source === 'environment' && setting.schema.type === 'integer' && serviceAddress.test(text)) return
    const group = values[setting.group] ??= {}
    if (typeof group !== 'object') return
    group[setting.name] = fromText(setting, text)
    sources[setting.path] = source
  }
  for (const setting of settings) {
    take(setting, dotEnv[setting.env], '.env')
    take(setting, env[setting.env], 'environment')
    take(setting, flags[setting.flag], 'flag')
  }

  const faults = [...unknownIn({ ...dotEnv, ...env }), ...faultsIn(values, sources)]
  if (faults.length > 0) throw new ConfigError(faults.join('\n'))
  const config = values as unknown as Config // faultsIn found none
  config.core.uri = normalUri(config.core.uri)
  config.core.fallback_uris = config.core.fallback_uris.map(normalUri)
  return { config: freeze(config), sources, file }
}

/** The value as it may be shown. */
export function shown ({ schema }: Pick<Setting, 'schema'>, value: unknown): string {
  if (value === undefined) return ''
  return schema.secret === true ? '********' : Array.isArray(value) ? value.join(',') : String(value)
}

/** `localhost:3000` to `http://localhost:3000`; a path prefix stays, a slash at its end does not. */
export function normalUri (uri: string): string {
  const { protocol, host, pathname } = new URL(withScheme(uri))
  return `${protocol}//${host}${pathname.replace(/\/+$/, '')}`
}

function withScheme (uri: string): string {
  return /^https?:\/\//.test(uri) ? uri : `http://${uri}`
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
  // A group with nothing under it, as where all its lines are comments.
  return Object.fromEntries(Object.entries(value as object).map(([group, members]) => [group, members ?? {}]))
}

function groupOf (values: Record<string, unknown>, group: string): Record<string, unknown> | undefined {
  const value = values[group]
  return typeof value === 'object' && value !== null ? value as Record<string, unknown> : undefined
}

function unknownIn (env: Record<string, string | undefined>): string[] {
  const known = new Set(['MUXI_API_CONFIG', ...settings.map((setting) => setting.env)])
  const isLink = (name: string) => serviceLink.test(name) || (name.endsWith('_PORT') && serviceAddress.test(env[name] ?? ''))
  return Object.keys(env).filter((name) => ours.test(name) && !known.has(name) && !isLink(name)).map(notKnown)
}

function notKnown (name: string): string {
  return `${name} is no setting; \`muxi-api config\` lists them all`
}

function fromText ({ schema }: Setting, text: string): unknown {
  if (schema.type === 'integer') return /^-?\d+$/.test(text) ? Number(text) : text
  if (schema.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (schema.type === 'array') return text === '' ? [] : text.split(',').map((item) => item.trim())
  return text
}

/** One line for each value that cannot be used; fills the defaults in. */
function faultsIn (values: Record<string, Record<string, unknown> | undefined>, sources: Record<string, Source>): string[] {
  const errors = valid(values) ? [] : valid.errors!
  const faults = new Set(errors.map((error) => explain(error, sources)))
  for (const setting of settings.filter(({ path }) => path in beyondPattern)) {
    for (const text of [groupOf(values, setting.group)?.[setting.name]].flat()) {
      if (typeof text === 'string' && !beyondPattern[setting.path]!(text)) faults.add(line(setting, sources, text, allowed(setting, 'pattern')))
    }
  }
  for (const group of ['api', 'core']) {
    const { tls_cert: cert, tls_key: key, tls_ca: ca } = groupOf(values, group) ?? {}
    if ((cert === undefined) !== (key === undefined)) faults.add(`${group}.tls_cert and ${group}.tls_key go together: one of them is unset`)
    for (const [name, path] of Object.entries({ tls_ca: ca, tls_cert: cert, tls_key: key })) {
      if (typeof path === 'string' && !existsSync(path)) faults.add(`${group}.${name}: there is no file ${path}`)
    }
  }
  return [...faults]
}

function explain ({ instancePath, keyword, params, message, data }: ErrorObject, sources: Record<string, Source>): string {
  const [group = '', name] = instancePath.slice(1).split('/')
  if (keyword === 'additionalProperties') return notKnown([group, params.additionalProperty].filter(Boolean).join('.'))
  const setting = settings.find(({ path }) => path === `${group}.${name}`)
  return setting === undefined ? `${group} ${message}` : line(setting, sources, data, allowed(setting, keyword, params, message))
}

function line ({ path, env, flag, schema }: Setting, sources: Record<string, Source>, value: unknown, allowed: string): string {
  const name = { file: '', default: '', '.env': ` (${env})`, environment: ` (${env})`, flag: ` (--${flag})` }[sources[path] ?? 'default']
  // Somebody may have written a password into an address.
  const text = schema.secret === true ? '"********"' : JSON.stringify(value).replace(/\/\/[^/@]*@/, '//********@')
  return `${path}${name} is ${text}: ${schema.type === 'array' && !Array.isArray(value) ? 'each item ' : ''}${allowed}`
}

function allowed ({ schema }: Setting, keyword: string, params: Record<string, unknown> = {}, message = ''): string {
  if (keyword === 'enum') return `must be one of ${(params.allowedValues as string[]).join(', ')}`
  if (keyword === 'pattern') return `must look like ${JSON.stringify([schema.examples?.[0] ?? schema.default ?? 'printable ASCII without blanks'].flat()[0])}`
  if (schema.type === 'integer') return `must be a whole number from ${schema.minimum} to ${schema.maximum}`
  if (schema.type === 'boolean') return 'must be true or false'
  return message
}

function freeze (config: Config): Readonly<Config> {
  for (const group of Object.values(config)) for (const value of [group, ...Object.values(group)]) Object.freeze(value)
  return Object.freeze(config)
}
