import { expect, test } from 'vitest'
import { documentsWith, operationsIn, resolved, validatorOf, type Document, type Node } from './document.ts'

const documents = await documentsWith()

interface Example { path: string, schema: Node, value: unknown }

/** Every example and default below a value, with the schema that it must hold to. */
function * examplesIn (value: unknown, path = ''): Generator<Example> {
  if (typeof value !== 'object' || value === null) return
  const { schema, itemSchema, example, examples, default: fallback, ...rest } = value as Node & { schema?: Node, itemSchema?: Node }
  if (Array.isArray(examples)) for (const one of examples) yield { path: `${path}.examples`, schema: value as Node, value: one }
  if (fallback !== undefined) yield { path: `${path}.default`, schema: value as Node, value: fallback }
  if (schema !== undefined && example !== undefined) yield { path: `${path}.example`, schema, value: example }
  if (examples !== undefined && !Array.isArray(examples)) {
    for (const [name, { value: whole, dataValue }] of Object.entries(examples as Record<string, { value?: unknown, dataValue?: unknown[] }>)) {
      if (schema !== undefined) yield { path: `${path}.examples.${name}`, schema, value: whole }
      for (const item of itemSchema === undefined ? [] : dataValue ?? []) yield { path: `${path}.examples.${name}`, schema: itemSchema!, value: item }
    }
  }
  for (const [name, child] of Object.entries({ schema, itemSchema, ...rest })) if (name !== 'enum' && name !== 'const') yield * examplesIn(child, `${path}.${name}`)
}

const wrongIn = (part: object, document: Document): string[] => [...examplesIn(part)].filter(({ schema, value }) => !validatorOf(resolved(schema, document))(value)).map(({ path }) => path)

test.for(['openapi', 'openapiNext'] as const)('every example and default of %s holds to its schema', (rendering) => {
  const document = documents[rendering]

  expect([...examplesIn(document)].length).toBeGreaterThan(250)
  expect(wrongIn(document, document)).toEqual([])
})

test('a wrong example would be found, also in the data of an event', () => {
  const document = structuredClone(documents.openapiNext)
  const { chat_send: send, chat_stream: stream } = Object.fromEntries(operationsIn(document))
  const body = send!.requestBody!.content['application/json']!
  const events = stream!.responses['200']!.content!['text/event-stream']!
  body.example = { content: 7 }
  events.examples!.stream!.dataValue = [{ event: 'content', data: '{"content":7}' }]

  expect(wrongIn({ body, events }, document)).toEqual(['.body.example', '.events.examples.stream'])
})

test('every body and every answer that has one shows an example', () => {
  const bare = [...operationsIn(resolved(documents.openapi, documents.openapi)).values()].flatMap(({ operationId, requestBody, responses }) =>
    Object.entries({ body: requestBody, ...responses }).flatMap(([place, part]) => Object.entries(part?.content ?? {})
      .filter(([, { example, examples }]) => example === undefined && examples === undefined)
      .map(([type]) => `${operationId} ${place} ${type}`)))

  expect(bare).toEqual([])
})
