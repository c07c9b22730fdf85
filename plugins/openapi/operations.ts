import type { RouteOptions } from 'fastify'
import type { ErrorCode } from '../../schemas/errors.ts'
import { requestHeaders } from '../../schemas/headers.ts'
import { exampleOf } from './examples.ts'
import { headerComponents, headersSent, headersTaken } from './headers.ts'

export interface Media { schema?: object, example?: unknown, examples?: Record<string, object>, itemSchema?: object }
export interface Answer { description: string, headers?: object, content?: Record<string, Media>, 'x-error-codes'?: ErrorCode[] }
interface Parameter { name: string, in: string }
export interface Operation { operationId: string, parameters?: (Parameter | Reference)[], requestBody?: { content: Record<string, Media> }, responses: Record<string, Answer | Reference> }
interface Reference { $ref: string }
export interface Document { paths: Record<string, Record<string, Operation>>, components: Record<string, object> }

/** Adds what follows from the routes and the package that makes the document has no place for: headers, codes, examples, and one name for each failure. */
export function complete (document: Document, routes: Map<string, RouteOptions>): Document {
  const failures: Record<string, Answer> = {}
  for (const operation of Object.values(document.paths).flatMap((methods) => Object.values(methods))) {
    const route = routes.get(operation.operationId)!
    const parameters = [...(operation.parameters ?? []).filter((one) => !isHeader(one)), ...headersTaken(route).map((name) => reference('parameters', name))]
    if (parameters.length > 0) operation.parameters = parameters
    for (const media of Object.values(operation.requestBody?.content ?? {})) withExample(media)
    for (const [status, answer] of Object.entries(operation.responses as Record<string, Answer>)) {
      const sent = headersSent(route, status)
      answer.headers = Object.fromEntries(sent.map((name) => [name, reference('headers', name)]))
      if (status === '304') delete answer.content
      const codes = codesOf(route, status)
      if (codes === undefined) {
        for (const media of Object.values(answer.content ?? {})) withExample(media)
        continue
      }
      const name = nameOf(codes, sent, route)
      failures[name] = { description: answer.description, headers: answer.headers, content: answer.content!, 'x-error-codes': codes }
      operation.responses[status] = reference('responses', name)
    }
  }
  const responses = Object.fromEntries(Object.entries(failures).sort(([a], [b]) => a < b ? -1 : 1))
  return { ...document, components: { ...document.components, ...headerComponents(), responses } }
}

function codesOf ({ schema }: RouteOptions, status: string): ErrorCode[] | undefined {
  return (schema?.response as Record<string, { codes?: ErrorCode[] }> | undefined)?.[status]?.codes
}

/** `BadRequest`, `CoreUnavailableOrStateUnavailable`; those that differ in their headers have a word more. */
function nameOf (codes: ErrorCode[], sent: string[], { config }: RouteOptions): string {
  const words = codes.map((code) => code.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())).join('Or')
  return `${words}${config?.access === 'public' ? 'Public' : ''}${sent.includes('Idempotent-Replayed') ? 'Kept' : ''}${codes.includes('conflict') && !sent.includes('Retry-After') ? 'Final' : ''}`
}

function withExample (media: Media): void {
  if (media.example !== undefined || media.examples !== undefined || media.schema === undefined) return
  const example = exampleOf(media.schema)
  if (example !== undefined) media.example = example
}

function isHeader (parameter: Parameter | Reference): boolean {
  return 'in' in parameter && parameter.in === 'header' && Object.keys(requestHeaders).some((name) => name.toLowerCase() === parameter.name)
}

function reference (kind: string, name: string): Reference {
  return { $ref: `#/components/${kind}/${name}` }
}
