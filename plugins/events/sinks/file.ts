import { dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../../../config.ts'
import { createComplaint } from '../complaint.ts'
import { Recorded, type Topic } from '../recorded.ts'
import { Archive } from './archive.ts'
import { formatOf } from './format.ts'
import { isAtLeast } from './level.ts'
import { RotatedFile } from './rotated-file.ts'
import type { Sink, SinkOptions } from './sink.ts'

type Settings = Readonly<Pick<Config['api'], 'tracing_file' | 'tracing_format' | 'tracing_level' | 'tracing_file_bytes' | 'tracing_file_age_ms' | 'tracing_file_keep' | 'tracing_archive'>>

const mostBytesHeld = 8_388_608
/** What comes within it is written at once. */
const windowMs = 20
const retryMs = 1_000
const closeMs = 3_000

/** Writes every event as a line of the file, rotates it and packs what is rotated, all beside the event loop. What does not fit into 8 MiB while the disk is slow is left out, and a line says how much. */
export function createFileSink (settings: Settings & { tracing_file: string }, { log, onLost }: SinkOptions): Sink {
  const format = formatOf(settings.tracing_format)
  const path = resolve(settings.tracing_file)
  const complain = createComplaint(log)
  const archive = new Archive({ path, folder: resolve(settings.tracing_archive ?? dirname(path)), keep: settings.tracing_file_keep }, (err) => { complain('a rotated trace file cannot be packed', { err }) })
  const file = new RotatedFile({ path, bytes: settings.tracing_file_bytes, ageMs: settings.tracing_file_age_ms }, archive, {
    rotated: () => { archive.tidy() },
    stuck: (err) => { complain('the trace file cannot be rotated', { err }) }
  })

  const held: Buffer[] = []
  let bytes = 0
  let lost = 0
  const closing = new AbortController()
  const ending = new AbortController()
  let running: Promise<void> | undefined

  const hold = (line: Buffer) => {
    held.push(line)
    bytes += line.length
  }
  const tellLost = () => {
    const event = { timestamp: new Date().toISOString(), level: 'warn' as const, message: `${lost} events are left out here: the file took them too slowly`, service: 'muxi-api', lost }
    lost = 0
    hold(Buffer.from(`${format('logs', Recorded.ofEvent(event))}\n`))
  }

  const run = async () => {
    await sleep(windowMs, undefined, { signal: closing.signal }).catch(() => {})
    // Also with nothing to write once: the file may be too old.
    do {
      try {
        const count = await file.write(held)
        for (const line of held.splice(0, count)) bytes -= line.length
        if (held.length === 0 && lost > 0) tellLost()
      } catch (err) {
        complain('the trace file cannot be written', { err })
        await sleep(retryMs, undefined, { ref: false, signal: closing.signal }).catch(() => sleep(50))
      }
    } while (held.length > 0 && !ending.signal.aborted)
    running = undefined
  }
  const wake = () => { running ??= run() }
  const timer = setInterval(wake, Math.min(settings.tracing_file_age_ms, 60_000)).unref()
  wake()
  archive.tidy()

  return {
    write: (topic: Topic, recorded: Recorded) => {
      if (closing.signal.aborted || !isAtLeast(settings.tracing_level, topic, recorded)) return
      const line = Buffer.from(`${format(topic, recorded)}\n`)
      if (bytes + line.length > mostBytesHeld) {
        lost++
        onLost(1)
        return
      }
      if (lost > 0) tellLost()
      hold(line)
      wake()
    },
    close: async () => {
      closing.abort()
      clearInterval(timer)
      const finish = async () => {
        await running
        await file.close()
        await archive.settled()
      }
      // Not for ever: a disk may hang.
      await Promise.race([finish(), sleep(closeMs, undefined, { ref: false })])
      ending.abort()
      if (held.length > 0) onLost(held.length)
      await archive.close()
    }
  }
}
