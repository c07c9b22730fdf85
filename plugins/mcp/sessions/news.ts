import type { JSONRPCMessage } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import { everyList, type Change, type Changes } from '../changes.ts'
import type { Journal, Stream } from './journal.ts'

export interface News extends Pick<Changes, 'follow'> {
  /** Whether the caller may hear of a resource. */
  mayHear: (request: FastifyRequest, uri: string) => boolean
}

/** Writes what changes into the journal, for as long as this instance holds the stream; answers the function that ends it. */
export function tell (journal: Journal, stream: Stream, request: FastifyRequest, { follow, mayHear }: News, subscriptions: () => Promise<string[]>): () => void {
  const write = async (change: Change) => {
    if (change.kind === 'resource' && !(mayHear(request, change.uri) && (await subscriptions()).includes(change.uri))) return
    await journal.append([{ to: stream, message: messageOf(change) }])
  }
  return follow((change) => { write(change).catch((error: unknown) => { request.log.warn({ err: error }, 'a change could not be told in an MCP session') }) })
}

/** What to say to one who has not listened for a while: every list may be another, and every resource that it subscribes to. */
export function messagesOfAll (subscriptions: string[]): JSONRPCMessage[] {
  return [...everyList, ...subscriptions.map((uri): Change => ({ kind: 'resource', uri }))].map(messageOf)
}

function messageOf (change: Change): JSONRPCMessage {
  return change.kind === 'resource'
    ? { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: change.uri } }
    : { jsonrpc: '2.0', method: `notifications/${change.kind}/list_changed` }
}
