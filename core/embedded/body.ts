import type { IncomingMessage } from 'node:http'
import type { Static, TSchema } from '@sinclair/typebox'
import { Value, ValueErrorType } from '@sinclair/typebox/value'
import { CoreError } from './envelope.ts'
import type { Route } from './router.ts'

const mostBytes = 64 * 1024 * 1024
const mostDepth = 200

/** Reads the body of a request and gives what the route's schema lets through. */
export async function readBody (req: IncomingMessage, { body: schema, form }: Route): Promise<unknown> {
  if (!schema) return undefined
  const text = await textOf(req)
  return checked(schema, form ? formOf(text) : jsonOf(text))
}

/** The value without unknown members, or the Core's validation error. */
export function checked<T extends TSchema> (schema: T, value: unknown): Static<T> {
  const errors = [...Value.Errors(schema, value)].map(({ path, type, message, schema, value }) => ({
    field: path.slice(1).replaceAll('/', '.') || 'body',
    msg: type === ValueErrorType.ObjectRequiredProperty ? 'Field required' : message,
    type: type === ValueErrorType.ObjectRequiredProperty ? String(schema.type) : typeof value,
    error: type === ValueErrorType.ObjectRequiredProperty ? 'missing' : 'invalid'
  }))
  // a missing member is reported twice: once as missing, once as of the wrong type
  const missing = new Set(errors.filter(({ error }) => error === 'missing').map(({ field }) => field))
  const unique = errors.filter(({ field, error }) => error === 'missing' || !missing.has(field))
  if (unique.length > 0) throw invalid(unique)
  return Value.Clean(schema, value) as Static<T> // Value.Errors found none
}

/** The Core's validation error for one member. */
export function invalidMember (field: string, msg: string): CoreError {
  return invalid([{ field, msg, type: 'string', error: 'invalid' }])
}

async function textOf (req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > mostBytes) throw new CoreError(413, 'INVALID_REQUEST', 'the body is larger than 64 MiB')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function jsonOf (text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid([{ field: 'body', msg: 'JSON decode error', type: 'string', error: 'invalid_json' }])
  }
  checkDepth(value)
  return value
}

/** What walks through a body calls itself for each level, so there is an end to them. */
function checkDepth (value: unknown): void {
  let level = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > mostDepth) throw invalidMember('body', `the body is more than ${mostDepth} levels deep`)
    level = level.flatMap((inner) => typeof inner === 'object' && inner !== null ? Object.values(inner) : [])
  }
}

function formOf (text: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text))
}

function invalid (errors: object[]): CoreError {
  return new CoreError(422, 'INVALID_PARAMS', `Validation failed: ${errors.length} error(s)`, { validation_errors: errors })
}
