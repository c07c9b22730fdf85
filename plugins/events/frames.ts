import type { Gap, Kept } from './ring.ts'
import type { Topic } from './recorded.ts'

/** Frames of server-sent events (WHATWG HTML, section 9.2). All texts in them are JSON or ids of ours: neither can hold a line break. */
const names = { logs: 'log', traces: 'trace' } as const

/** An event or a common gap as it goes over the wire: encoded once, whoever reads it. */
export function frameOf (topic: Topic, kept: Kept): Buffer {
  return kept.frame ??= kept.recorded === undefined
    ? gapFrame(kept.id, kept.gap!) // one of both is there
    : Buffer.from(`event: ${names[topic]}\nid: ${kept.id}\ndata: ${kept.recorded.text}\n\n`)
}

export function gapFrame (id: string, gap: Gap): Buffer {
  return Buffer.from(`event: gap\nid: ${id}\ndata: ${JSON.stringify(gap)}\n\n`)
}

/** Moves the client's last event id on without an event: whoever has seen nothing for an hour does not ask for that hour again. */
export function checkpoint (id: string): string {
  return `id: ${id}\n\n`
}

/** The last words: why, and when to come back. */
export function endFrame (reason: string, retryMs: number): string {
  return `retry: ${retryMs}\nevent: end\ndata: ${JSON.stringify({ reason })}\n\n`
}

export const heartbeat = ':\n\n'

/** Clients that were cut off together do not come back together. */
export function jittered (fromMs: number, toMs: number): number {
  return Math.round(fromMs + Math.random() * (toMs - fromMs))
}
