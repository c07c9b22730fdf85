import { Type } from '@sinclair/typebox'
import type { Contract } from './contract.ts'

export const openapiGet = {
  operationId: 'openapi_get',
  summary: 'Read the OpenAPI document of this server',
  tags: ['docs'],
  response: { 200: Type.Object({ openapi: Type.String({ examples: ['3.1.0'] }) }, { additionalProperties: true, description: 'An OpenAPI 3.1 document' }) }
} satisfies Contract
