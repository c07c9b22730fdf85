import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'

type Json = Record<string, unknown>
export type InputSchema = { type: 'object' } & Json

const mostBytes = 32_768
const mostDepth = 32
const anything: InputSchema = { type: 'object' }

/** Members whose members are named by the author: what they hold are schemas, whatever they are called. */
const named = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas', 'dependencies'])
/** Members that hold data. */
const data = new Set(['enum', 'const', 'default', 'examples', 'example', 'required', 'dependentRequired'])
const references = new Set(['$ref', '$dynamicRef', '$recursiveRef'])
/** They say where a schema is from, or name parts of it for others: one that stands alone has no use for them. */
const addresses = new Set(['$id', 'id', '$schema', '$anchor', '$dynamicAnchor', '$recursiveAnchor', '$vocabulary', '__proto__'])
/** Some models' hosts refuse a whole list of tools for one of these at the top; the tool itself checks its input anyway. */
const branches = new Set(['oneOf', 'anyOf', 'allOf', 'not', 'if', 'then', 'else'])

let judges: { validateSchema: (schema: Json) => unknown }[] | undefined

/**
 * The schema of a tool's arguments, from outside, as one that any host can take: an object, bounded, without a word that points out of it.
 * One that is wrong, too large or too deep is any object: its tool stays in the list.
 */
export function standalone (schema: unknown): InputSchema {
  if (!isObject(schema) || !isObjectType(schema.type) || isTooLarge(schema)) return anything
  const { $schema, ...rest } = schema
  const top = Object.fromEntries(Object.entries(rest).filter(([name]) => !branches.has(name)))
  const own = walked({ ...top, type: 'object' }, schema) as InputSchema
  if (isObject(own.properties)) {
    // Some hosts take no true or false where the schema of an argument stands.
    own.properties = Object.fromEntries(Object.entries(own.properties).map(([name, value]) => [name, value === true ? {} : value === false ? { not: {} } : value]))
  }
  return isValid(own) ? own : anything
}

function walked (value: unknown, root: Json): unknown {
  if (Array.isArray(value)) return value.map((item) => walked(item, root))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).flatMap(([name, child]): [string, unknown][] => {
    if (addresses.has(name) || (references.has(name) && !isWithin(child, root)) || (name === 'pattern' && !isPattern(child))) return []
    if (data.has(name)) return [[name, child]]
    if (!named.has(name) || !isObject(child)) return [[name, walked(child, root)]]
    const members = Object.entries(child).filter(([key]) => key !== '__proto__' && (name !== 'patternProperties' || isPattern(key)))
    return [[name, Object.fromEntries(members.map(([key, inner]) => [key, walked(inner, root)]))]]
  }))
}

/** A pointer to a part of the same schema that is there, and that is not left out. */
function isWithin (reference: unknown, root: Json): boolean {
  if (reference === '#') return true
  if (typeof reference !== 'string' || !reference.startsWith('#/')) return false
  let at: unknown = root
  const [first, ...rest] = reference.slice(2).split('/')
  if (branches.has(first!)) return false
  for (const part of [first!, ...rest]) {
    let key: string
    try {
      key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
    } catch {
      return false
    }
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return false
    at = (at as Json)[key]
  }
  return isObject(at) || typeof at === 'boolean'
}

function isPattern (text: unknown): boolean {
  if (typeof text !== 'string') return false
  try {
    return new RegExp(text, 'u') !== undefined
  } catch {
    return false
  }
}

/** By the two drafts that tool servers write in. */
function isValid (schema: Json): boolean {
  const options = { strict: false, logger: false, validateFormats: false } as const
  judges ??= [new Ajv2020(options), new Ajv(options)]
  return judges.some((judge) => judge.validateSchema(schema) === true)
}

function isObjectType (type: unknown): boolean {
  return type === undefined || type === 'object' || (Array.isArray(type) && type.includes('object'))
}

function isTooLarge (schema: Json): boolean {
  let level: unknown[] = [schema]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > mostDepth) return true
    level = level.flatMap((inner) => typeof inner === 'object' && inner !== null ? Object.values(inner) : [])
  }
  return JSON.stringify(schema).length > mostBytes
}

function isObject (value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
