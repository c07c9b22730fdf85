import { invalid } from '../errors.ts'

/** Free JSON under names. */
export type Document = Record<string, unknown>

const mostLevels = 10
const mostBytes = 65_536
const refused = new Set(['__proto__', 'constructor', 'prototype'])

/** Refuses a document that is too deep or too large, or has a name that means something to JavaScript. */
export function checkDocument (document: Document, field = 'body.knowledge'): void {
  checkLevel(document, field, 1)
  if (Buffer.byteLength(JSON.stringify(document)) > mostBytes) throw invalid(field, 'must have at most 64 KiB')
}

function checkLevel (value: unknown, field: string, level: number): void {
  if (typeof value !== 'object' || value === null) return
  if (level > mostLevels) throw invalid(field, `must have at most ${mostLevels} levels`)
  for (const [name, inner] of Object.entries(value)) {
    if (refused.has(name)) throw invalid(field, `must not have a member named ${name}`)
    checkLevel(inner, field, level + 1)
  }
}

/** The document with the changes in it: objects member by member, everything else replaced. */
export function merge (document: Document, changes: Document): Document {
  const result = { ...document }
  for (const [name, value] of Object.entries(changes)) {
    const before = result[name]
    result[name] = isDocument(value) ? merge(isDocument(before) ? before : {}, value) : value
  }
  return result
}

/** Dotted paths of what has no members below it. */
export function pathsIn (document: Document): string[] {
  return Object.entries(document).flatMap(([name, value]) =>
    isDocument(value) && Object.keys(value).length > 0 ? pathsIn(value).map((path) => `${name}.${path}`) : [name])
}

/** The document without the member at a dotted path (a name that itself has dots comes first); undefined when there is none. */
export function without (document: Document, path: string): Document | undefined {
  if (Object.hasOwn(document, path)) {
    const { [path]: gone, ...rest } = document
    return rest
  }
  const dot = path.indexOf('.')
  const name = path.slice(0, dot)
  const inner = dot > 0 && Object.hasOwn(document, name) ? document[name] : undefined
  const rest = isDocument(inner) ? without(inner, path.slice(dot + 1)) : undefined
  return rest === undefined ? undefined : { ...document, [name]: rest }
}

function isDocument (value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
