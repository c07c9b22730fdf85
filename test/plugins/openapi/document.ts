import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { buildApp } from '../../../app.ts'
import { configFor, Lines } from '../../app.ts'

export type Node = Record<string, unknown>
export interface Media { schema?: Node, itemSchema?: Node, example?: unknown, examples?: Record<string, { value?: unknown, serializedValue?: string, dataValue?: unknown[] }> }
export interface Answer { description: string, headers: Record<string, unknown>, content?: Record<string, Media>, 'x-error-codes'?: string[] }
export interface Operation {
  operationId: string
  summary: string
  description: string
  tags: string[]
  security: Record<string, string[]>[]
  'x-access': string
  parameters?: { name: string, in: string, required: boolean }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, Answer>
}
export interface Document {
  openapi: string
  tags: { name: string, description: string, parent?: string }[]
  paths: Record<string, Record<string, Operation>>
  components: Record<string, Record<string, Node>>
}

/** Both documents of a server of its own, which has no Core to talk to: none is needed. */
export async function documentsWith (settings: Record<string, string> = {}): Promise<{ openapi: Document, openapiNext: Document }> {
  const app = await buildApp(configFor({ url: 'http://127.0.0.1:9' }, settings), new Lines())
  await app.ready()
  const documents = { openapi: app.openapi() as Document, openapiNext: app.openapiNext() as Document }
  await app.close()
  return documents
}

/** A part of a document with every reference replaced by what it names; none leads to itself. */
export function resolved<T extends object> (part: T, document: object): T {
  const resolve = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(resolve)
    if (typeof value !== 'object' || value === null) return value
    const { $ref, ...rest } = value as Node
    const children = Object.fromEntries(Object.entries(rest).map(([key, child]) => [key, resolve(child)]))
    return typeof $ref === 'string' ? { ...resolve(at(document, $ref)) as Node, ...children } : children
  }
  return resolve(part) as T
}

/** What a reference names; undefined where it leads nowhere. */
export function at (document: object, reference: string): unknown {
  const parts = reference.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  return parts.reduce<unknown>((node, part) => (node as Node | undefined)?.[part], document)
}

/** Every operation of a document by its id. */
export function operationsIn ({ paths }: Document): Map<string, Operation> {
  return new Map(Object.values(paths).flatMap((methods) => Object.values(methods)).map((operation) => [operation.operationId, operation]))
}

const compiled = new Map<string, ValidateFunction>()
const ajv = new Ajv2020({ strict: false, allErrors: true })
ajv.addFormat('date-time', (text: string) => !Number.isNaN(Date.parse(text)))
// Ajv takes what a text holds for a remark; here it counts.
ajv.removeKeyword('contentSchema')
ajv.addKeyword({
  keyword: 'contentSchema',
  type: 'string',
  compile: (schema: object) => {
    const valid = ajv.compile(schema)
    return (text: string) => valid(JSON.parse(text))
  }
})

/** A validator of values against a schema without references. */
export function validatorOf (schema: object): ValidateFunction {
  const text = JSON.stringify(schema)
  const valid = compiled.get(text) ?? ajv.compile(schema)
  compiled.set(text, valid)
  return valid
}
