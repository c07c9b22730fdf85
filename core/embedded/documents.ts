import { invalidMember } from './body.ts'

export type Document = Record<string, unknown>

const mostDepth = 10
const mostBytes = 64 * 1024
const refused = new Set(['__proto__', 'constructor', 'prototype'])

/** Turns away a document that is too deep or too large, or has a key that means something to JavaScript. */
export function checkDocument (document: Document): void {
  checkLevel(document, 1)
  if (Buffer.byteLength(JSON.stringify(document)) > mostBytes) throw invalidMember('knowledge', 'the knowledge of a user is at most 64 KiB')
}

/** The document with the patch merged in: objects key by key, everything else replaced. */
export function merged (document: Document, patch: Document): Document {
  const changes = Object.entries(patch).map(([key, value]) => {
    const there = Object.hasOwn(document, key) ? document[key] : undefined
    return [key, isDocument(value) ? merged(isDocument(there) ? there : {}, value) : value]
  })
  return { ...document, ...Object.fromEntries(changes) as Document }
}

/** Dotted paths of everything in a document that is no object with members. */
export function leavesOf (document: Document, prefix = ''): string[] {
  return Object.entries(document).flatMap(([key, value]) =>
    isDocument(value) && Object.keys(value).length > 0 ? leavesOf(value, `${prefix}${key}.`) : [prefix + key])
}

/** Takes a member out by its dotted path; a key that itself has dots wins. Says whether it was there. */
export function removeField (document: Document, path: string): boolean {
  if (Object.hasOwn(document, path)) return delete document[path]
  const [key = '', ...rest] = path.split('.')
  const inner = Object.hasOwn(document, key) ? document[key] : undefined
  return rest.length > 0 && isDocument(inner) && removeField(inner, rest.join('.'))
}

function checkLevel (value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null) return
  if (depth > mostDepth) throw invalidMember('knowledge', 'the knowledge of a user is at most 10 levels deep')
  for (const [key, inner] of Object.entries(value)) {
    if (refused.has(key)) throw invalidMember('knowledge', `no member may be called ${key}`)
    checkLevel(inner, depth + 1)
  }
}

function isDocument (value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
