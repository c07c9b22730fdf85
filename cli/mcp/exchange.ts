import { headersOf, isRecord, lineOf, membersOf, type Message } from './message.ts'
import type { Attempt, Patience } from './patience.ts'
import { Refusal, SessionLost, type Remote, type Reply } from './remote.ts'
import type { Session } from './session.ts'
import { Trouble } from './trouble.ts'

export interface Parts {
  remote: Remote
  session: Session
  patience: Patience
  /** Gives the host a message. */
  write: (text: string) => Promise<void>
  /** Tools that may be called twice, by what the server says of them. */
  repeatable: Set<string>
}

export type Request = Message & { id: string | number, method: string }

/** Requests that change nothing, or nothing more when they come twice. */
const harmless = /^(?:initialize|ping|server\/discover|completion\/complete|logging\/setLevel|subscriptions\/listen|resources\/(?:un)?subscribe|[a-z/]+\/(?:list|get|read|result|cancel))$/
const acknowledged = 'notifications/subscriptions/acknowledged'
/** The server ends a stream when it has answered. */
const lastWordsMs = 1_000

/** Gets a request answered, whatever happens on the way; what the server says meanwhile goes to the host. Throws where there is no answer. */
export async function exchange (message: Request, parts: Parts, signal: AbortSignal): Promise<string> {
  const { remote, session, patience, repeatable } = parts
  const isModern = message.revision !== undefined
  const isRepeatable = harmless.test(message.method) || (message.method === 'tools/call' && repeatable.has(String(message.params.name)))
  let isAgain = false
  const once = async (attempt: Attempt): Promise<string> => {
    const reply = await remote.send('POST', isModern ? headersOf(message, undefined) : session.headers(message), { body: message.text, signal })
    patience.found()
    let answer: string | undefined
    if (reply.type === 'application/json') answer = await remote.textOf(reply.body, signal)
    else if (reply.type === 'text/event-stream') {
      const write = async (text: string) => {
        if (membersOf(text)?.method === undefined) {
          answer = text
          return true
        }
        // A subscription that was taken up again was acknowledged before.
        if (!isAgain || membersOf(text)?.method !== acknowledged) await parts.write(text)
        return false
      }
      await follow(parts, { reply, attempt, write, session: isModern ? undefined : session }, signal)
    } else await reply.body.dump()
    const said = answer === undefined ? undefined : membersOf(answer)
    if (answer === undefined || said === undefined) throw new Trouble(`${remote.url} answered ${reply.status} with ${reply.type || 'nothing'}, which is no message of MCP: --url must be the address of an MCP endpoint`, { isDone: 'maybe' })
    if (message.method === 'initialize' && !isModern) session.begun(message, reply, answer)
    if (said.error === undefined) learn(message, said.result, parts)
    return withId(answer, said, message.id)
  }
  try {
    return await patience.persist(async (attempt) => {
      const { id } = session
      try {
        return await once(attempt)
      } catch (error) {
        isAgain = true
        if (!(error instanceof SessionLost)) throw error
        await session.restore(id)
        return await once(attempt)
      }
    }, { isRepeatable, signal })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return withId(error.text, membersOf(error.text)!, message.id)
  }
}

interface Course { reply: Reply, attempt: Attempt, write: (text: string) => Promise<boolean>, session: Session | undefined, isStanding?: boolean }

/**
 * Passes the messages of a stream on until `write` has had enough. Where the stream breaks off it goes on after the last event, if the session has
 * named that; a standing stream goes on anyway.
 */
export async function follow ({ remote, patience }: Parts, { reply: first, attempt, write, session, isStanding = false }: Course, signal: AbortSignal): Promise<void> {
  const id = session?.id
  let reply = first
  let last: string | undefined
  let retryMs = 0
  for (;;) {
    let why: unknown = new Trouble(isStanding ? `${remote.url} ended the stream of the session` : `${remote.url} ended a stream before its answer`, { isPassing: true, isDone: 'maybe' })
    const events = remote.eventsOf(reply.body, signal)
    try {
      for (let next = await events.next(); next.done !== true; next = await events.next()) {
        if ('retry' in next.value) retryMs = next.value.retry
        else {
          last = next.value.id ?? last
          attempt.failures = 0
          if (next.value.data !== '' && await write(next.value.data)) {
            drain(events, reply)
            return
          }
        }
      }
    } catch (error) {
      why = error
    }
    for (let isBack = false; !isBack;) {
      if (!(why instanceof Trouble) || session === undefined) throw why
      if (isStanding ? !why.isPassing && !why.isSilent : !why.isPassing || last === undefined) throw why
      await patience.wait(why, attempt, signal, Math.max(retryMs, why.afterMs), isStanding ? Infinity : undefined)
      try {
        if (session.id !== id) throw new SessionLost(`${remote.url} has begun another session`)
        reply = await remote.send('GET', { ...session.headers(), ...(last !== undefined && { 'last-event-id': last }) }, { signal })
        patience.found()
        isBack = true
      } catch (error) {
        // Whoever had begun with it is gone, or has lost its memory.
        why = error instanceof SessionLost && !isStanding ? new Trouble(error.message, { isPassing: true, isDone: 'maybe' }) : error
        if (error instanceof SessionLost) throw why
      }
    }
  }
}

/** Read to its end, the connection serves again. The answer is there: what breaks now is nobody's concern. */
function drain (events: AsyncGenerator<unknown>, { body }: Reply): void {
  const timer = setTimeout(() => { body.destroy() }, lastWordsMs)
  const rest = async () => {
    while ((await events.next()).done !== true);
  }
  rest().catch(() => {}).finally(() => { clearTimeout(timer) })
}

/** What the answer tells of later messages. */
function learn ({ method, ...message }: Request, result: unknown, { session, repeatable }: Parts): void {
  session.keep({ method, ...message })
  if (method !== 'tools/list' || !isRecord(result) || !Array.isArray(result.tools)) return
  for (const { name, annotations } of result.tools as { name?: unknown, annotations?: { readOnlyHint?: unknown, idempotentHint?: unknown } }[]) {
    if (annotations?.readOnlyHint === true || annotations?.idempotentHint === true) repeatable.add(String(name))
    else repeatable.delete(String(name))
  }
}

/** The same answer; a failure that was found before the id was read is of this request. */
function withId (text: string, said: { id?: unknown, error?: unknown }, id: string | number): string {
  return said.id === id ? text : lineOf({ id, error: said.error ?? { code: -32_603, message: 'the server answered another request' } })
}
