import { Type, type TObject, type TSchema } from '@sinclair/typebox'
import type { ErrorCode } from './errors.ts'

/** Who may call an operation: nobody asked, a user key (or better), an admin key. */
export type Access = 'public' | 'user' | 'admin'

/** The order of the levels: a key opens what needs its own or a lower one. */
export const rank = { public: 0, user: 1, admin: 2 } as const satisfies Record<Access, number>

/** The shape every operation has. The route adds URL, access level and handler; nothing else declares an endpoint. */
export interface Contract {
  /** `{resource}_{action}`: the operation id of the document, the name of the MCP tool, the label in logs and metrics. */
  operationId: string
  summary: string
  description?: string
  tags: string[]
  params?: TObject
  querystring?: TObject
  headers?: TObject
  body?: TSchema
  response: Record<number, TSchema | Media>
  /** Changes nothing, although it is sent by POST. */
  isRead?: true
  /** Takes something away, although it is sent by POST; done twice it has no further effect. */
  isTaking?: true
  /** What it can fail with beyond what follows from the rest. */
  failures?: ErrorCode[]
}

/** An answer that is not plain JSON: its media types with their schemas. */
export interface Media { description: string, content: Record<string, MediaType> }
interface MediaType {
  schema: TSchema
  example?: unknown
  /** One event of a stream, where the document has a word for that (OpenAPI 3.2). */
  itemSchema?: TSchema
  examples?: Record<string, { summary?: string, value: unknown, dataValue?: unknown }>
}

/** Declares an answer of another media type than JSON. */
export function media (description: string, type: string, example?: string): Media {
  return { description, content: { [type]: { schema: Type.String(), ...(example !== undefined && { example }) } } }
}
