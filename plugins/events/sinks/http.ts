import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gzip as packing } from 'node:zlib'
import { Agent, request } from 'undici'
import type { Config } from '../../../config.ts'
import { createComplaint } from '../complaint.ts'
import { Recorded, type Topic } from '../recorded.ts'
import { jsonLine } from './format.ts'
import { isAtLeast } from './level.ts'
import type { Sink, SinkOptions } from './sink.ts'

type Settings = Readonly<Pick<Config['api'], 'tracing_external_sink' | 'tracing_external_key' | 'tracing_level'>>
interface Batch { lines: string[], events: number, told: number }
interface Times { lingerMs: number, retryMs: number, mostRetryMs: number, answerMs: number, closeMs: number }

const usual: Times = { lingerMs: 1_000, retryMs: 500, mostRetryMs: 30_000, answerMs: 15_000, closeMs: 3_000 }
const most = { held: 50_000, bytesHeld: 16_777_216, inBatch: 1_000, bytesInBatch: 1_048_576, retryAfterMs: 300_000, refusals: 10 }
/** What passes by itself. The receiver's other failures may be of this very batch: after some it is given up. */
const passing = new Set([408, 425, 429, 502, 503, 504])
const gzip = promisify(packing)

/** Sends every event to a collector, as lines of JSON in batches, in order. While it cannot be reached events are held, 16 MiB or 50,000; beyond that the oldest are left out, and a line says how many. */
export function createHttpSink (settings: Settings & { tracing_external_sink: string }, { log, onLost, times: given }: SinkOptions & { times?: Partial<Times> }): Sink {
  const times = { ...usual, ...given }
  const complain = createComplaint(log)
  const sender = createSender(settings, times)
  const held: { line: string, bytes: number }[] = []
  let bytes = 0
  let lost = 0
  let running: Promise<void> | undefined
  let full = () => {}
  const closing = new AbortController()
  const ending = new AbortController()

  const lose = (events: number) => {
    lost += events
    onLost(events)
  }

  const take = (): Batch => {
    const lines: string[] = []
    const told = lost
    if (told > 0) {
      const event = { timestamp: new Date().toISOString(), level: 'warn' as const, message: `${told} events are left out here: the collector took them too slowly, or not at all`, service: 'muxi-api', lost: told }
      lines.push(jsonLine('logs', Recorded.ofEvent(event)))
    }
    lost = 0
    let events = 0
    for (let size = 0; events < held.length && events < most.inBatch && size < most.bytesInBatch; events++) size += held[events]!.bytes
    for (const one of held.splice(0, events)) {
      bytes -= one.bytes
      lines.push(one.line)
    }
    return { lines, events, told }
  }

  const deliver = async ({ lines, events, told }: Batch) => {
    const body = await gzip(`${lines.join('\n')}\n`)
    const id = randomUUID()
    for (let failures = 0, refusals = 0; ; failures++) {
      const { status, error, retryAfterMs } = await sender.send(id, body, ending.signal)
      if (status !== undefined && status >= 200 && status < 300) return
      const isPassing = status === undefined || passing.has(status) || (status >= 500 && ++refusals < most.refusals)
      if (!isPassing || ending.signal.aborted) {
        complain(isPassing ? 'events are lost: the collector did not take them before the end' : 'events are lost: the collector refuses them', { status, err: error }, events)
        lost += told
        lose(events)
        return
      }
      complain('the collector does not take events', { status, err: error })
      const waitMs = Math.min(times.mostRetryMs, times.retryMs * 2 ** failures) * (0.5 + Math.random() / 2)
      await sleep(Math.max(retryAfterMs ?? 0, waitMs), undefined, { signal: ending.signal, ref: false }).catch(() => {})
    }
  }

  const run = async () => {
    while (held.length > 0 && !ending.signal.aborted) {
      if (held.length < most.inBatch && bytes < most.bytesInBatch && !closing.signal.aborted) {
        await new Promise<void>((resolve) => {
          full = resolve
          setTimeout(resolve, times.lingerMs).unref()
        })
      }
      await deliver(take())
    }
    running = undefined
  }

  return {
    write: (topic: Topic, recorded: Recorded) => {
      if (closing.signal.aborted || !isAtLeast(settings.tracing_level, topic, recorded)) return
      const line = jsonLine(topic, recorded)
      const one = { line, bytes: Buffer.byteLength(line) }
      held.push(one)
      bytes += one.bytes
      if (held.length > most.held || bytes > most.bytesHeld) {
        // A tenth at once: to move all that is held for every event would cost more than the event.
        const oldest = held.splice(0, Math.ceil(held.length / 10))
        for (const { bytes: size } of oldest) bytes -= size
        lose(oldest.length)
      }
      if (held.length >= most.inBatch || bytes >= most.bytesInBatch) full()
      running ??= run()
    },
    close: async () => {
      closing.abort()
      full()
      const timer = setTimeout(() => { ending.abort() }, times.closeMs)
      await running
      clearTimeout(timer)
      await sender.close()
      if (held.length > 0) lose(held.splice(0).length)
    }
  }
}

interface Outcome { status?: number, error?: unknown, retryAfterMs?: number | undefined }

/** One attempt at a batch; a failure is an outcome, too. The same id with the same batch: who has it already can leave it out. */
function createSender ({ tracing_external_sink: sink, tracing_external_key: key }: Settings & { tracing_external_sink: string }, { answerMs }: Times) {
  const url = new URL(sink)
  const { username, password } = url
  url.username = url.password = ''
  const authorization = key !== undefined ? `Bearer ${key}` : username !== '' ? `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}` : undefined
  const dispatcher = new Agent({ connections: 1, connect: { timeout: 5_000 }, headersTimeout: answerMs, bodyTimeout: answerMs })

  const send = async (id: string, body: Buffer, signal: AbortSignal): Promise<Outcome> => {
    try {
      const { statusCode, headers, body: answer } = await request(url, {
        method: 'POST',
        dispatcher,
        body,
        headers: { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip', 'idempotency-key': id, 'user-agent': 'muxi-api', ...(authorization !== undefined && { authorization }) },
        signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)])
      })
      await answer.dump({ limit: 65_536 }).catch(() => {})
      return { status: statusCode, retryAfterMs: waitOf(headers['retry-after']) }
    } catch (error) {
      return { error }
    }
  }
  return { send, close: () => dispatcher.destroy() }
}

function waitOf (header: string | string[] | undefined): number | undefined {
  if (typeof header !== 'string') return undefined
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), most.retryAfterMs)
}
