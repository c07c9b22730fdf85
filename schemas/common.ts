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
  pattern: /^(?!\.{1,2}$)[^\u0000-\u001f\u007f]+$/.source,
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
}, { title: 'Pagination', examples: [{ total: 1, limit: 50, offset: 0, next_offset: null }] })
export type Pagination = Static<typeof Pagination>

export const limit = (fallback: number, maximum = 100) =>
  withDefault(Type.Integer({ minimum: 1, maximum, description: 'Items at most' }), fallback)

export const offset = () =>
  withDefault(Type.Integer({ minimum: 0, maximum: 1_000_000_000, description: 'Items to skip' }), 0)

/** Fields that a list can be sorted by. */
export const sort = <const T extends string>(...fields: T[]) =>
  Type.Optional(oneOf(fields.flatMap((field) => [field, `-${field}`] as const), { description: 'A leading - sorts downwards' }))

/** What is before an entry of a list that goes back in time. */
export const before = () =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: 'Only what is older than the entry with this id: `next_before` of the page before' }))

/** What tells how a list that goes back in time continues. */
export const older = {
  has_more: Type.Boolean({ description: 'Whether there are older ones', examples: [false] }),
  next_before: Type.Union([Type.String(), Type.Null()], { description: 'Send it as `before` for the next page; null at the end', examples: [null] })
}

/** Where a page cannot set headers. */
export const TicketQuery = Type.Object({
  ticket: Type.Optional(Type.String({ minLength: 1, maxLength: 4_096, description: 'A ticket of `stream_ticket_create`, instead of a key', examples: ['muxi_ticket_kJ3v…'] }))
}, { additionalProperties: false })

/** A file on the Core, by a relative path with one of these endings. */
export const corePath = (endings: string[], example: string) => Type.String({
  maxLength: 1_024,
  pattern: `^(?!/)(?!.*(?:^|/)\\.\\.(?:/|$))[^\\\\\\u0000-\\u001f]+\\.(?:${endings.join('|')})$`,
  description: `A file on the Core: relative, without "..", ${endings.map((ending) => `.${ending}`).join(', ')}. This server never opens it`,
  examples: [example]
})

/** Headers of a change that may be made conditional. */
export const IfMatch = Type.Object({
  'if-match': Type.Optional(Type.String({ maxLength: 4_096, description: 'The `ETag` of the answer that the change was made from; 412 when there is another by now', examples: ['"7.3q2-7w"'] }))
})

/** The Core counts time in seconds, or spells it out in UTC, at times without saying so; undefined where it says nothing. */
export function toTimestamp (value: number | string | undefined): string | undefined {
  if (value === undefined) return undefined
  const date = new Date(typeof value === 'number' ? value * 1_000 : /(?:Z|[+-]\d{2}:?\d{2})$/i.test(value) ? value : `${value}Z`)
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString()
}

/** One of a closed list of words. */
export function oneOf<const T extends readonly string[]> (values: T, options: SchemaOptions = {}): TUnsafe<T[number]> {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options })
}

/** Optional for the client, always there for the handler: the validator fills the default in. */
export function withDefault<T extends TSchema> (schema: T, value: Static<T>): T {
  // Optional in the document, yet typed as present: TypeBox has no word for "defaulted".
  return Type.Optional({ ...schema, default: value }) as TOptional<T> as unknown as T
}
