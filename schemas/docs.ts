import { Type } from '@sinclair/typebox'
import type { Contract } from './contract.ts'

const document = (version: string) => Type.Object({ openapi: Type.String({ examples: [version] }) }, { additionalProperties: true, description: `An OpenAPI document, version ${version}` })

export const openapiGet = {
  operationId: 'openapi_get',
  summary: 'Read the OpenAPI document of this server',
  description: 'Version 3.1, which most tools read. Streams are text there; the 3.2 rendering describes their events.',
  tags: ['docs'],
  response: { 200: document('3.1.0') }
} satisfies Contract

export const asyncapiGet = {
  operationId: 'asyncapi_get',
  summary: 'Read the AsyncAPI document of the socket',
  description: 'Version 3.0: every frame of `ws_connect`, in both directions.',
  tags: ['docs'],
  response: { 200: Type.Object({ asyncapi: Type.String({ examples: ['3.0.0'] }) }, { additionalProperties: true, description: 'An AsyncAPI document, version 3.0' }) }
} satisfies Contract

export const openapiNextGet = {
  operationId: 'openapi_next_get',
  summary: 'Read the same document as OpenAPI 3.2',
  description: 'The events of streams are described one by one (`itemSchema`), and tags have their places.',
  tags: ['docs'],
  response: { 200: document('3.2.0') }
} satisfies Contract
