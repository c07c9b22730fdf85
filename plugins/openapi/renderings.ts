import type { Document, Media } from './operations.ts'
import { tags } from './tags.ts'

/** A stream whole, as text and as its events. */
interface StreamExample { value?: unknown, serializedValue?: unknown, dataValue?: unknown }

/** OpenAPI 3.1: a stream is the text of it. */
export function asText (document: Document): object {
  const copy = structuredClone(document)
  for (const stream of streamsIn(copy)) {
    delete stream.itemSchema
    for (const example of examplesOf(stream)) delete example.dataValue
  }
  return { ...copy, openapi: '3.1.0', tags: tags.map(({ name, description }) => ({ name, description })) }
}

/** OpenAPI 3.2: a stream is a sequence of events, and tags have a place in a tree. */
export function asItems (document: Document): object {
  const copy = structuredClone(document)
  for (const stream of streamsIn(copy)) {
    delete stream.schema
    for (const example of examplesOf(stream)) {
      example.serializedValue = example.value
      delete example.value
    }
  }
  return { ...copy, openapi: '3.2.0', tags: tags.map((tag) => ({ ...tag, kind: 'nav' })) }
}

function * streamsIn ({ paths }: Document): Generator<Media> {
  for (const { responses } of Object.values(paths).flatMap((methods) => Object.values(methods))) {
    for (const answer of Object.values(responses)) {
      if ('content' in answer) yield * Object.values(answer.content ?? {}).filter(({ itemSchema }) => itemSchema !== undefined)
    }
  }
}

function examplesOf ({ examples = {} }: Media): StreamExample[] {
  return Object.values(examples)
}
