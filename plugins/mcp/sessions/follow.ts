import { isJSONRPCErrorResponse, isJSONRPCResultResponse, type JSONRPCMessage, type RequestId } from '@modelcontextprotocol/server'
import type { FastifyInstance } from 'fastify'
import { only, standing, type Journal, type Stream } from './journal.ts'
import { presenceOf, presentMs } from './exchange.ts'

/** A message of a stream, with the id under which the client may ask for what comes after it; `undefined`: nothing has come for a while. */
export interface Sent { id: string, message: JSONRPCMessage }

/** Which stream an event is of, and its number there. */
export function positionOf (id: string): { stream: Stream, seq: number } | undefined {
  const [, stream, seq] = /^([\w-]{1,64})\.(\d{1,15})$/.exec(id) ?? []
  return stream === undefined ? undefined : { stream, seq: Number(seq) }
}

export const idOf = (stream: Stream, seq: number): string => `${stream}.${seq}`

/**
 * The messages of one stream of a session after a number, at whatever instance they come to be. Ends when nothing more will come: all that was asked is answered,
 * the session is over, or another listener has come. Who comes back to a standing stream is told by `onReturn` what may have happened meanwhile. What an instance worked on that is there no more is answered here with an error.
 */
export async function * follow (app: FastifyInstance, journal: Journal, stream: Stream, after: number, signal: AbortSignal, onReturn?: () => Promise<JSONRPCMessage[]>): AsyncGenerator<Sent | undefined> {
  const { cluster } = app
  const isStanding = stream === standing || stream === only
  const owners = new Map<string, { owner: string, id: RequestId }>()
  const here = async () => { await cluster.keep(presenceOf(journal.id, stream), '1', 2 * presentMs).catch(() => {}) }
  let own: string | undefined
  let isKnown = isStanding
  let wasTaken = false
  await here()
  if (isStanding) {
    own = `${cluster.id}.${performance.now()}`
    await journal.append([{ to: stream, taken: own }])
  }
  // From the start: what was asked before the client went is still to be answered.
  for await (const numbered of journal.follow(1, signal, isStanding ? presentMs : presentMs / 3)) {
    if (numbered === undefined) {
      await here()
      await answerForTheDead(cluster, journal, stream, owners)
      if (!isKnown) return
      yield undefined
      continue
    }
    const { seq, entry } = numbered
    if ('over' in entry) return
    if (!('to' in entry) || entry.to !== stream) continue
    isKnown = true
    if ('open' in entry) for (const id of entry.open.ids) owners.set(JSON.stringify(id), { owner: entry.open.owner, id })
    else if ('left' in entry) for (const id of entry.left) owners.delete(JSON.stringify(id))
    else if ('taken' in entry) {
      if (entry.taken === own) {
        own = undefined
        if (wasTaken) for (const message of await onReturn?.() ?? []) yield { id: idOf(stream, seq), message }
      } else if (isStanding && own === undefined) return
      wasTaken = true
    } else {
      if (isJSONRPCResultResponse(entry.message) || isJSONRPCErrorResponse(entry.message)) owners.delete(JSON.stringify(entry.message.id))
      if (seq > after) yield { id: idOf(stream, seq), message: entry.message }
    }
    if (!isStanding && owners.size === 0) return
  }
}

async function answerForTheDead (cluster: FastifyInstance['cluster'], journal: Journal, stream: Stream, owners: Map<string, { owner: string, id: RequestId }>): Promise<void> {
  if (owners.size === 0) return
  const members = await cluster.members().catch(() => undefined)
  if (members === undefined) return
  for (const { owner, id } of owners.values()) {
    if (owner === cluster.id || members.includes(owner)) continue
    const message = { jsonrpc: '2.0' as const, id, error: { code: -32_603, message: 'the instance that worked on this is gone: whether it was done is not known; look before you call again' } }
    await journal.append([{ to: stream, message }], `gone ${stream} ${JSON.stringify(id)}`)
  }
}
