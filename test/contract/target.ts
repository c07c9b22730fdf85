import { randomBytes } from 'node:crypto'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { expect, type TestAPI } from 'vitest'
import type { Capability } from '../../core/capabilities.ts'
import type { ErrorBody } from '../../schemas/errors.ts'
import type { Access } from '../../schemas/contract.ts'

/** A server in front of a Core, and what a case must know of the two. */
export interface Target {
  url: string
  /** Where the Core itself answers, to see what reached it. */
  core: string
  /** The Core's two keys, which are also those of the callers. */
  keys: Record<Exclude<Access, 'public'>, string>
  /** Whether this is the real Core, whose model answers in other words than ours. */
  real: boolean
  /** What this Core cannot do. */
  missing: Capability[]
  /** What its formation declares of one agent. */
  declared: { agent: string, model: object | undefined, servers: { name: string, type: string, connected?: boolean }[], knowledge: { id: string }[] }
  /** Whether the answer for a user has begun, seen from inside the Core. */
  answering: (user: string) => Promise<boolean>
}

/** A `test` that brings a target. */
export type ContractTest = TestAPI<{ target: Target }>

interface Options { method?: string, body?: unknown, headers?: Record<string, string>, signal?: AbortSignal }

/** Calls the server with the key of a level, with another key, or with none. A body makes it a POST. */
export async function call ({ url, keys }: Target, who: 'user' | 'admin' | { key: string } | undefined, path: string, { body, method = body === undefined ? 'GET' : 'POST', headers, signal }: Options = {}): Promise<Response> {
  const key = typeof who === 'string' ? keys[who] : who?.key
  return await fetch(url + path, {
    method,
    headers: {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal !== undefined && { signal })
  })
}

export interface Received { event: string, id: string | undefined, data: Record<string, unknown>, at: number }

/** The events of a stream as they come, each with the time of its arrival. */
export async function * eventsIn (res: Response): AsyncGenerator<Received, void, undefined> {
  for await (const { event = 'message', id, data } of res.body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) {
    yield { event, id, data: JSON.parse(data) as Record<string, unknown>, at: performance.now() }
  }
}

/** All events of a stream. */
export async function eventsOf (res: Response): Promise<Received[]> {
  const events: Received[] = []
  for await (const event of eventsIn(res)) events.push(event)
  return events
}

/** What the pieces of an answer make together. */
export const textOf = (events: Received[]): string =>
  events.filter(({ event }) => event === 'content').reduce((text, { data }) => data.replace === true ? String(data.content) : text + String(data.content), '')

export async function jsonOf<T = Record<string, unknown>> (res: Response): Promise<T> {
  return await res.json() as T
}

export async function errorOf (res: Response): Promise<ErrorBody['error']> {
  return (await jsonOf<ErrorBody>(res)).error
}

/** A name that no other case uses. */
export const fresh = (name: string): string => `${name}-${randomBytes(5).toString('hex')}`

/** Asks the Core itself, as its own clients do. */
export async function atCore<T> ({ core, keys }: Target, user: string, method: string, path: string, body?: object): Promise<T> {
  const headers = { 'x-muxi-client-key': keys.user, 'x-muxi-user-id': user, ...(body !== undefined && { 'content-type': 'application/json' }) }
  const res = await fetch(`${core}/v1${path}`, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) })
  if (!res.ok) throw new Error(`${method} ${path} ${res.status} ${await res.text()}`)
  return (await jsonOf<{ data: T }>(res)).data
}

/** Whether the Core has met a user. */
export async function knownAtCore ({ core, keys }: Target, user: string): Promise<boolean> {
  return (await fetch(`${core}/v1/users/${user}`, { headers: { 'x-muxi-client-key': keys.user } })).ok
}

interface CoreRequest { request_id: string, user_id: string, status: string }

/** A chat as the Core knows it. */
export async function requestAtCore ({ core, keys }: Target, id: string): Promise<CoreRequest | undefined> {
  const res = await fetch(`${core}/v1/requests/${id}`, { headers: { 'x-muxi-admin-key': keys.admin } })
  return res.ok ? (await jsonOf<{ data: CoreRequest }>(res)).data : undefined
}

/** The chats of one user, as the Core knows them. */
export async function requestsAtCore (target: Target, user: string): Promise<CoreRequest[]> {
  return (await atCore<{ requests: CoreRequest[] }>(target, user, 'GET', '/requests')).requests
}

/** Reads a stream up to the first piece of the answer, then goes away; the id of the message. */
export async function leaveMidStream (target: Target, res: Response): Promise<string> {
  let id = ''
  for await (const { event, data } of eventsIn(res)) {
    if (event === 'message_start') id = String(data.id)
    if (event !== 'content') continue
    expect(await requestAtCore(target, id)).toMatchObject({ status: 'processing' })
    break // closes the connection
  }
  return id
}

/** Waits until the only chat of a user is being answered: a client that leaves before goes unnoticed in the real Core's list of chats. */
export async function chatBegun (target: Target, user: string): Promise<void> {
  await expect.poll(async () => await requestsAtCore(target, user), { timeout: 20_000, interval: 100 }).toMatchObject([{ status: 'processing' }])
  await expect.poll(async () => await target.answering(user), { timeout: 20_000, interval: 100 }).toBe(true)
}

/** The only chat of a user is cancelled within a second. */
export async function chatCancelled (target: Target, user: string): Promise<void> {
  await expect.poll(async () => await requestsAtCore(target, user), { timeout: 1_000, interval: 100 }).toMatchObject([{ status: 'cancelled' }])
}

/** Begins a long plain chat as a user and goes away while the Core answers; it is cancelled there. */
export async function leaveChat (target: Target, user: string): Promise<void> {
  const leaving = new AbortController()
  const answer = call(target, 'user', '/api/v1/chat', { body: { content: 'Count [fake: tokens=400 delay_ms=50]', user_id: user }, signal: leaving.signal })
  await chatBegun(target, user)
  leaving.abort()

  await expect(answer).rejects.toThrow()
  await chatCancelled(target, user)
}

/** What a user said and heard in a session, as the Core remembers it. */
export async function messagesAtCore (target: Target, user: string, session: string): Promise<string[]> {
  return (await atCore<{ messages: { text: string }[] }>(target, user, 'GET', `/sessions/${session}/messages`)).messages.map(({ text }) => text)
}
