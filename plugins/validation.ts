import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import fp from 'fastify-plugin'
import { Ajv, type ValidateFunction } from 'ajv'
import type { FastifySchemaValidationError } from 'fastify'

interface Properties { properties?: Record<string, { type?: string }> }

const dateTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/

/** Deeper than anything sensible, and far from what overflows the stack of JSON.stringify. */
const mostLevels = 64
const tooDeep = [{ instancePath: '', keyword: 'levels', schemaPath: '#', params: {}, message: `must have at most ${mostLevels} levels` }]

/** Contracts are the same for all servers of a process, and compiled once: that is most of the work of a start. */
const ajv = new Ajv({ allErrors: false, useDefaults: true, strict: true, strictTypes: false, strictRequired: false })
ajv.addVocabulary(['example'])
ajv.addFormat('date-time', { validate: (text: string) => dateTime.test(text) && !Number.isNaN(Date.parse(text)) })
const noQuery = { type: 'object', properties: {}, additionalProperties: false }
const compile = SerializerSelector()({}, {})
const compiled = new WeakMap<object, ReturnType<typeof compile>>()

/** Checks every input against its contract. JSON is taken as it is; text from the URL becomes a number or a boolean only where it spells one in full. */
export default fp(async (app) => {
  // Fastify reads plain text, too; no operation here does.
  app.removeContentTypeParser('text/plain')

  // A contract without a query takes none: unknown parameters are refused everywhere.
  app.addHook('onRoute', (route) => {
    if (route.schema === undefined || route.schema.hide === true || route.schema.querystring !== undefined) return
    route.schema = { ...route.schema, querystring: noQuery }
  })

  // Most schemas of answers are the error body, over and over.
  app.setSerializerCompiler((route) => {
    const schema = route.schema as object
    const known = compiled.get(schema)
    if (known !== undefined) return known
    const serialize = compile(route as Parameters<typeof compile>[0])
    compiled.set(schema, serialize)
    return serialize
  })

  app.setValidatorCompiler<Properties>(({ schema, httpPart }) => {
    const valid: ValidateFunction = ajv.compile(schema)
    const failed = () => ({ error: valid.errors as FastifySchemaValidationError[] as never })
    if (httpPart === 'body') {
      const free = isFree(schema)
      return (data) => !valid(data) ? failed() : free && isDeep(data, mostLevels) ? { error: tooDeep as never } : { value: data }
    }
    const typed = Object.entries(schema.properties ?? {}).filter(([, { type }]) => type === 'integer' || type === 'number' || type === 'boolean')
    return (data: Record<string, unknown>) => {
      for (const [name, { type }] of typed) data[name] = fromText(data[name], type)
      return valid(data) ? { value: data } : failed()
    }
  })
}, { name: 'validation' })

/** How a number may be spelled; only a fraction may have an exponent, which is how small ones are written. */
const integer = /^-?(?:0|[1-9]\d{0,15})(?:\.\d{1,20})?$/
const fraction = /^-?(?:0|[1-9]\d{0,15})(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?$/

/** `0x10`, ` 5`, `1e9` for an integer and the like stay text, which the schema then refuses. */
function fromText (value: unknown, type: string | undefined): unknown {
  if (typeof value !== 'string') return value
  if (type === 'boolean') return value === 'true' ? true : value === 'false' ? false : value
  if (!(type === 'number' ? fraction : integer).test(value)) return value
  const number = Number(value)
  return Number.isFinite(number) ? number : value
}

/** Whether a contract takes any JSON somewhere; all else is as deep as it says. */
function isFree (schema: object): boolean {
  const { type, enum: words, const: word, ...rest } = schema as Record<string, unknown>
  const inner = ['properties', 'patternProperties'].flatMap((name) => Object.values(rest[name] ?? {}))
  const others = [rest.items, rest.additionalProperties, ...['anyOf', 'oneOf', 'allOf'].flatMap((name) => rest[name] ?? [])]
  const parts = [...inner, ...others].filter((part): part is object => typeof part === 'object' && part !== null)
  return (type ?? words ?? word) === undefined && parts.length === 0 ? true : parts.some(isFree)
}

function isDeep (value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  for (const inner of Object.values(value)) if (isDeep(inner, levels - 1)) return true
  return false
}
