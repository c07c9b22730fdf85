/** One request as the Core received it; never holds a key. */
export interface CoreCall {
  method: string
  /** as received, with the prefix, without the query */
  path: string
  /** with its question mark, or empty */
  query: string
  /** X-Muxi-User-Id */
  user?: string
  /** as received */
  traceparent?: string
  level: 'admin' | 'client' | 'none'
  status?: number
  /** the client left before the end of the answer */
  aborted: boolean
  body?: unknown
}

const secret = /^(api_key|token|credentials|password|secret)$/

/** Keeps a call; the oldest go when there are more than 10,000, and their bodies after 1,000. */
export function remember (calls: CoreCall[], call: CoreCall): void {
  calls.push(call)
  if (calls.length > 10_000) calls.shift()
  delete calls.at(-1_001)?.body
}

/** A copy of a body in which the values of secret members are replaced. */
export function withoutSecrets (body: unknown): unknown {
  return JSON.parse(JSON.stringify(body, (name, value: unknown) => secret.test(name) ? '***' : value))
}
