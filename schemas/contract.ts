import { Type, type TObject, type TSchema } from '@sinclair/typebox'

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
  response: Record<number, TSchema | EventStream | Media>
}

/** A success that is no JSON: its media types with their schemas. */
export interface Media { description: string, content: Record<string, { schema: TSchema, example?: string }> }

/** A success that is a stream of server-sent events, by event name. */
export interface EventStream extends Media { events: Record<string, TSchema> }

/** Declares the events of a `text/event-stream` answer; `example` is a whole stream as it goes over the wire. */
export function eventStream (description: string, events: Record<string, TSchema>, example: string): EventStream {
  const names = Object.entries(events).map(([name, { description: text }]) => `\`${name}\`${text === undefined ? '' : ` (${text})`}`)
  const schema = Type.String({ description: `Server-sent events: ${names.join(', ')}. The data of each is JSON.` })
  const stream: Media = { description, content: { 'text/event-stream': { schema, example } } }
  // Not enumerable: the serializer compiler and the document see the media type alone.
  return Object.defineProperty(stream, 'events', { value: events }) as EventStream
}

/** Declares an answer of another media type than JSON. */
export function media (description: string, type: string): Media {
  return { description, content: { [type]: { schema: Type.String() } } }
}
