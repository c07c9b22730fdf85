import { Type, type SchemaOptions, type Static, type TOptional, type TSchema, type TUnsafe } from '@sinclair/typebox'

/** Ids that clients choose: agents, servers, knowledge sources. */
export const Id = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$',
  description: '1 to 128 of A-Z a-z 0-9 _ . -, beginning with a letter or digit',
  examples: ['weather_expert']
})

/** An agent's id may not be `import`: that is a path of its own. */
export const AgentId = Type.String({
  pattern: '^(?!import$)[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$',
  description: '1 to 128 of A-Z a-z 0-9 _ . -, beginning with a letter or digit; not "import"',
  examples: ['weather_expert']
})

export const UserId = Type.String({
  minLength: 1,
  maxLength: 256,
  // eslint-disable-next-line no-control-regex -- control characters are what it refuses
  pattern: /^[^\u0000-\u001f\u007f]+$/.source,
  description: 'The end user. E-mail addresses compare in lower case',
  examples: ['u42']
})

export const SessionId = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$',
  description: 'Groups the messages of one conversation',
  examples: ['s-1']
})

export const Timestamp = Type.String({
  format: 'date-time',
  description: 'RFC 3339, UTC',
  examples: ['2026-03-02T09:30:45Z']
})

export const Pagination = Type.Object({
  total: Type.Integer({ minimum: 0, description: 'Items before paging' }),
  limit: Type.Integer({ minimum: 1 }),
  offset: Type.Integer({ minimum: 0 }),
  next_offset: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], { description: 'null at the end' })
}, { title: 'Pagination' })
export type Pagination = Static<typeof Pagination>

export const limit = (fallback: number, maximum = 100) =>
  withDefault(Type.Integer({ minimum: 1, maximum, description: 'Items at most' }), fallback)

export const offset = () =>
  withDefault(Type.Integer({ minimum: 0, maximum: 1_000_000_000, description: 'Items to skip' }), 0)

/** One of a closed list of words. */
export function oneOf<const T extends readonly string[]> (values: T, options: SchemaOptions = {}): TUnsafe<T[number]> {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options })
}

/** Optional for the client, always there for the handler: the validator fills the default in. */
export function withDefault<T extends TSchema> (schema: T, value: Static<T>): T {
  // Optional in the document, yet typed as present: TypeBox has no word for "defaulted".
  return Type.Optional({ ...schema, default: value }) as TOptional<T> as unknown as T
}
