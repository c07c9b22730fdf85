import { createParser } from 'eventsource-parser'

/** One event of a stream, and how many ms after the request it came. */
export interface Received { event: string, id: string | undefined, data: Record<string, unknown>, at: number }

/** The events in the text of a whole stream. */
export function eventsIn (text: string): Received[] {
  const events: Received[] = []
  createParser({
    onEvent: ({ event = 'message', id, data }) => { events.push({ event, id, data: JSON.parse(data) as Record<string, unknown>, at: 0 }) }
  }).feed(text)
  return events
}

/** Reads a stream as it comes; the events are there before its end. */
export function reading (res: Response, began: number): { events: Received[], ended: Promise<void> } {
  const events: Received[] = []
  const parser = createParser({
    onEvent: ({ event = 'message', id, data }) => { events.push({ event, id, data: JSON.parse(data) as Record<string, unknown>, at: performance.now() - began }) }
  })
  const decoder = new TextDecoder()
  const ended = (async () => { for await (const chunk of res.body ?? []) parser.feed(decoder.decode(chunk, { stream: true })) })()
  return { events, ended }
}

/** The text that the pieces of an answer make. */
export function textOf (events: Received[]): string {
  return events.filter(({ event }) => event === 'content').reduce((text, { data }) => data.replace === true ? String(data.content) : text + String(data.content), '')
}
