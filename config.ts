import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { Ajv, type ErrorObject } from 'ajv'
import { parse as parseYaml } from 'yaml'
import { Config, settings, type Setting } from './schemas/config.ts'

export type { Config } from './schemas/config.ts'
export { shown } from './schemas/config.ts'

/** Where the value of a setting came from. */
export type Source = 'default' | Place | `file ${string}`
type Place = 'file' | '.env' | 'environment' | 'flag'
export interface Loaded { config: Readonly<Config>, sources: Record<string, Source>, file: string | undefined }
export interface Origins {
  flags?: Record<string, string | undefined>
  env?: Record<string, string | undefined>
  cwd?: string
  /** Told of every file that the result depends on, there or not: who watches them knows when to load again. */
  onFile?: (path: string) => void
}

/** Where the settings of a running server are read again: `load` throws what is wrong with them, `files` are those it looked at last. */
export interface SettingsSource { load: () => Readonly<Config>, files: () => Iterable<string> }

/** A setting that cannot be used: names it, shows its value (secrets masked) and says what is allowed. */
export class ConfigError extends Error {}

const files = ['muxi-api.yaml', 'muxi-api.yml', 'muxi-api.json']
const ours = /^MUXI_(?:CORE|API|DEV)_/
// Kubernetes writes these for a Service whose name begins with muxi-api or muxi-core; they are no settings.
const serviceLink = /_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)$/
const serviceAddress = /^(?:tcp|udp|sctp):\/\//

/** Read by commands, not by the server: they may stand beside its settings. */
const besides = ['MUXI_API_CONFIG', 'MUXI_API_DOCTOR_KEY', 'MUXI_API_TRACE_KEY']

const ajv = new Ajv({ allErrors: true, useDefaults: true, allowUnionTypes: true, verbose: true })
ajv.addKeyword('secret')
ajv.addKeyword('reload')
const valid = ajv.compile<Config>(Config)

const isUri = (text: string) => URL.canParse(withScheme(text)) && new URL(withScheme(text)).port !== '0'

/** What no pattern can say of a text. */
const beyondPattern: Record<string, (text: string) => boolean> = {
  'core.uri': isUri,
  'core.fallback_uris': isUri,
  'api.trust_proxy': isRange,
  'api.admin_from': isRange
}

/** Merges defaults < file < `.env` < environment < flags into one frozen value, or throws a ConfigError with a line for each thing that is wrong. */
export function loadConfig ({ flags = {}, env = process.env, cwd = process.cwd(), onFile = () => {} }: Origins = {}): Loaded {
  const dotFile = join(cwd, '.env')
  onFile(dotFile)
  const dotEnv = existsSync(dotFile) ? parseEnv(readFileSync(dotFile, 'utf8')) : {}
  const file = fileToRead(flags.config ?? (env.MUXI_API_CONFIG || dotEnv.MUXI_API_CONFIG || undefined), cwd, onFile)
  const values = file === undefined ? {} : readFile(file)
  const sources: Record<string, Source> = {}
  const faults: string[] = []

  for (const setting of settings) {
    const { group, name, path, file: named } = setting
    const own = groupOf(values, group) ?? {}
    const chosen = last(setting, [
      { place: 'file', value: written(setting, own[name]), file: named && own[named.name] },
      { place: '.env', value: textIn(setting, dotEnv, '.env'), file: named && (dotEnv[named.env] || undefined) },
      { place: 'environment', value: textIn(setting, env, 'environment'), file: named && (env[named.env] || undefined) },
      { place: 'flag', value: fromText(setting, flags[setting.flag]), file: named && flags[named.flag] }
    ], faults)
    if (named !== undefined) delete own[named.name]
    if (chosen === undefined) continue
    const members = values[group] ??= {}
    if (typeof members !== 'object') continue
    const { place, value, file: source } = chosen
    members[name] = source === undefined ? value : secretIn(setting, source, { place, cwd, onFile, faults })
    sources[path] = source === undefined ? place : `file ${resolve(cwd, String(source))}`
  }

  faults.push(...unknownIn({ ...dotEnv, ...env }), ...faultsIn(values, sources))
  if (faults.length > 0) throw new ConfigError(faults.join('\n'))
  const config = values as unknown as Config // faultsIn found none
  config.core.uri = normalUri(config.core.uri)
  config.core.fallback_uris = config.core.fallback_uris.map(normalUri)
  return { config: freeze(config), sources: Object.fromEntries(settings.map(({ path }) => [path, sources[path] ?? 'default'])), file }
}

/** `localhost:3000` to `http://localhost:3000`; a path prefix stays, a slash at its end does not. */
export function normalUri (uri: string): string {
  const { protocol, host, pathname } = new URL(withScheme(uri))
  return `${protocol}//${host}${pathname.replace(/\/+$/, '')}`
}

function withScheme (uri: string): string {
  return /^https?:\/\//.test(uri) ? uri : `http://${uri}`
}

function isRange (text: string): boolean {
  const [address = '', bits] = text.split('/')
  return isIP(address) !== 0 && Number(bits ?? 0) <= (isIP(address) === 4 ? 32 : 128)
}

function fileToRead (named: string | undefined, cwd: string, onFile: (path: string) => void): string | undefined {
  const candidates = named === undefined ? files.map((name) => join(cwd, name)) : [resolve(cwd, named)]
  candidates.forEach(onFile)
  if (named === undefined) return candidates.find((path) => existsSync(path))
  const [path = ''] = candidates
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
  const known = new Set([...besides, ...settings.flatMap(({ env, file }) => file === undefined ? [env] : [env, file.env])])
  const isLink = (name: string) => serviceLink.test(name) || (name.endsWith('_PORT') && serviceAddress.test(env[name] ?? ''))
  return Object.keys(env).filter((name) => ours.test(name) && !known.has(name) && !isLink(name)).map(notKnown)
}

function notKnown (name: string): string {
  return `${name} is no setting; \`muxi-api config\` lists them all`
}

/** What one place says of a setting: its value or, for a secret, the file that holds it. */
interface Said { place: Place, value: unknown, file: unknown }

function last ({ path, ...setting }: Setting, said: Said[], faults: string[]): Said | undefined {
  for (const { place, value, file } of said) {
    if (value !== undefined && file !== undefined) faults.push(`${path}${namesOf(setting)[place]} and ${path}_file${namesOf(setting.file!)[place]} are both set: leave one of them out`)
  }
  return said.findLast(({ value, file }) => value !== undefined || file !== undefined)
}

function secretIn ({ path, file }: Setting, named: unknown, { place, cwd, onFile, faults }: { place: Place, cwd: string, onFile: (path: string) => void, faults: string[] }): string | undefined {
  const name = `${path}_file${namesOf(file!)[place]}`
  if (typeof named !== 'string' || named === '') {
    faults.push(`${name} must be the path of a file`)
    return undefined
  }
  const found = resolve(cwd, named)
  onFile(found)
  try {
    // Who writes such a file with an editor or `echo` ends its line.
    return readFileSync(found, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    faults.push(code === 'ENOENT' ? `${name}: there is no file ${found}` : `${name}: ${found} cannot be read (${code})`)
    return undefined
  }
}

/** YAML takes 1.3 for a number where it is the name of a version. */
function written ({ schema }: Setting, value: unknown): unknown {
  return schema.enum !== undefined && typeof value === 'number' ? String(value) : value
}

/** The value in an environment; a text that is empty is none. */
function textIn (setting: Setting, env: Record<string, string | undefined>, place: Place): unknown {
  const text = env[setting.env]
  if (text === undefined || text === '' || (place === 'environment' && setting.schema.type === 'integer' && serviceAddress.test(text))) return undefined
  return fromText(setting, text)
}

function fromText ({ schema }: Setting, text: string | undefined): unknown {
  if (text === undefined) return undefined
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
  const { jwt_issuer: issuer, jwt_audience: audience, jwt_jwks_uri: jwksUri } = groupOf(values, 'api') ?? {}
  if (issuer !== undefined && (audience === undefined || jwksUri === undefined)) faults.add('api.jwt_issuer needs api.jwt_audience and api.jwt_jwks_uri beside it: whom a token is for and where its keys are')
  return [...faults]
}

function explain ({ instancePath, keyword, params, message, data }: ErrorObject, sources: Record<string, Source>): string {
  const [group = '', name] = instancePath.slice(1).split('/')
  if (keyword === 'additionalProperties') return notKnown([group, params.additionalProperty].filter(Boolean).join('.'))
  const setting = settings.find(({ path }) => path === `${group}.${name}`)
  return setting === undefined ? `${group} ${message}` : line(setting, sources, data, allowed(setting, keyword, params, message))
}

/** How a setting is named in each place, behind its path. */
function namesOf ({ env, flag }: { env: string, flag: string }): Record<string, string> {
  return { '.env': ` (${env})`, environment: ` (${env})`, flag: ` (--${flag})`, file: '' }
}

function line ({ path, env, flag, schema }: Setting, sources: Record<string, Source>, value: unknown, allowed: string): string {
  const source = sources[path] ?? 'default'
  const name = source.startsWith('file ') ? ` (${source})` : namesOf({ env, flag })[source] ?? ''
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
