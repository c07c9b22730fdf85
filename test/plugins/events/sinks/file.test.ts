import { appendFileSync, mkdirSync, readFileSync, readdirSync, renameSync, rmdirSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import { expect, test as base } from 'vitest'
import { createFileSink } from '../../../../plugins/events/sinks/file.ts'
import type { Sink } from '../../../../plugins/events/sinks/sink.ts'
import { folder } from '../../../fixtures/folder.ts'
import { allLines, complaints, line, span } from './inputs.ts'

type Settings = Parameters<typeof createFileSink>[0]
interface Opened extends Sink { path: string, lost: number, said: ReturnType<typeof complaints>['said'] }
interface Fixtures { folder: string, open: (settings?: Partial<Settings>) => Opened }

const test = base.extend<Fixtures>({
  folder,
  open: async ({ folder }, use) => {
    const opened: Sink[] = []
    await use((settings = {}) => {
      const { log, said } = complaints()
      const path = settings.tracing_file ?? join(folder, 'trace.log')
      const sink = createFileSink({ tracing_file: path, tracing_level: 'trace', tracing_file_bytes: 1e9, tracing_file_age_ms: 1e9, tracing_file_keep: 10_000, ...settings }, { log, onLost: (events) => { own.lost += events } })
      const own: Opened = { ...sink, path, lost: 0, said }
      opened.push(sink)
      return own
    })
    for (const sink of opened) await sink.close()
  }
})

const numbers = (lines: string[]) => lines.map((text) => (JSON.parse(text) as { n: number }).n)
const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index)

test('every event is a line of the file, in order, all of them when it is closed', async ({ open, folder }) => {
  const sink = open()
  for (const n of upTo(1_000)) sink.write(n % 2 === 0 ? 'logs' : 'traces', n % 2 === 0 ? line({ n }) : span({ n }))
  await sink.close()

  expect(numbers(allLines(folder))).toEqual(upTo(1_000))
  expect(sink).toMatchObject({ lost: 0, said: [] })
})

test('a line is there soon, without a close', async ({ open }) => {
  const sink = open()
  sink.write('logs', line({ n: 1 }))

  await expect.poll(() => readFileSync(sink.path, 'utf8')).toContain('"n":1,"topic":"logs"}\n')
})

test('the file and its folder are made, and what is below the level stays out', async ({ open, folder }) => {
  const sink = open({ tracing_file: join(folder, 'a', 'b', 'trace.log'), tracing_level: 'warn', tracing_format: '{level} {message}' })
  for (const level of ['debug', 'warn']) sink.write('logs', line({ level }))
  sink.write('traces', span())
  await sink.close()

  expect(readFileSync(sink.path, 'utf8')).toBe('WARN request\n')
})

test('200,000 events over a hundred rotated files are all there, in order and untorn, and no file is larger than it may be', async ({ open, folder }) => {
  const archive = join(folder, 'archive')
  const sink = open({ tracing_file_bytes: 400_000, tracing_archive: archive })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  for (const n of upTo(200_000)) {
    sink.write('traces', span({ n }))
    // As fast as a busy server: some 100,000 a second.
    if (n % 200 === 0) await sleep(2)
  }
  delay.disable()
  await sink.close()
  const rest = open({ tracing_file_bytes: 400_000, tracing_archive: archive })
  await expect.poll(() => readdirSync(folder)).toEqual(['archive', 'trace.log'])
  const files = readdirSync(archive)
  const all = [...allLines(archive), ...readFileSync(sink.path, 'utf8').split('\n').slice(0, -1)]
  await rest.close()

  const told = all.map((text) => JSON.parse(text) as { n?: number, lost?: number })
  expect(told.reduce((sum, { lost = 1 }) => sum + lost, 0)).toBe(200_000)
  expect(told.reduce((sum, { lost = 0 }) => sum + lost, 0)).toBe(sink.lost)
  expect(told.flatMap(({ n = -1 }) => n < 0 ? [] : [n])).toEqual(told.flatMap(({ n = -1 }) => n < 0 ? [] : [n]).sort((one, two) => one - two))
  const sizes = files.map((name) => gunzipSync(readFileSync(join(archive, name))).length)
  expect(sizes.filter((size) => size > 400_000 || size < 399_000)).toEqual([])
  expect(files.filter((name) => !/^trace\.log\.\d{8}T\d{6}\.\d{3}Z\.\d+\.gz$/.test(name))).toEqual([])
  expect(files.length).toBeGreaterThan(20)
  expect(delay.max / 1e6).toBeLessThan(1_000)
})

test('only the newest rotated files are kept', async ({ open, folder }) => {
  const sink = open({ tracing_file_bytes: 4_096, tracing_file_keep: 3 })
  for (const n of upTo(200)) sink.write('logs', line({ n }))
  await sink.close()
  const all = numbers(allLines(folder))

  expect(readdirSync(folder).filter((name) => name.endsWith('.gz'))).toHaveLength(3)
  expect(readdirSync(folder)).toHaveLength(4)
  expect(all).toEqual(upTo(all.length, 200 - all.length))
})

test('a line that is larger than a file may be has a file of its own', async ({ open, folder }) => {
  const sink = open({ tracing_file_bytes: 4_096 })
  for (const n of upTo(3)) sink.write('logs', line({ n, text: 'x'.repeat(n === 1 ? 10_000 : 10) }))
  await sink.close()

  expect(numbers(allLines(folder))).toEqual([0, 1, 2])
  expect(readdirSync(folder)).toHaveLength(3)
})

test('a file that is too old is rotated, also when nothing is written any more', async ({ open, folder }) => {
  const sink = open({ tracing_file_age_ms: 100 })
  sink.write('logs', line({ n: 0 }))

  await expect.poll(() => readdirSync(folder).filter((name) => name.endsWith('.gz'))).toHaveLength(1)
  expect(statSync(sink.path).size).toBe(0)
})

test('a restart goes on with the file, ends a torn line, and finishes what a killed process has left half packed', async ({ open, folder }) => {
  writeFileSync(join(folder, 'trace.log'), '{"n":2}\n{"n":')
  writeFileSync(join(folder, 'trace.log.20260302T093045.120Z.0'), '{"n":0}\n')
  writeFileSync(join(folder, 'trace.log.20260302T093045.120Z.0.gz.part'), gzipSync('{"n":0}\n').subarray(0, 12))
  writeFileSync(join(folder, 'trace.log.20260302T093045.120Z.1.gz'), gzipSync('{"n":1}\n'))
  writeFileSync(join(folder, 'trace.log.old'), 'of somebody else')
  const sink = open()
  sink.write('logs', line({ n: 3 }))
  await sink.close()

  expect(readdirSync(folder).sort()).toEqual(['trace.log', 'trace.log.20260302T093045.120Z.0.gz', 'trace.log.20260302T093045.120Z.1.gz', 'trace.log.old'])
  expect(gunzipSync(readFileSync(join(folder, 'trace.log.20260302T093045.120Z.0.gz'))).toString()).toBe('{"n":0}\n')
  const lines = readFileSync(sink.path, 'utf8').split('\n')
  expect(lines.slice(0, 2)).toEqual(['{"n":2}', '{"n":'])
  expect(JSON.parse(lines[2]!)).toMatchObject({ n: 3 })
})

test.for<[string, (path: string) => void]>([
  ['moved away', (path) => { renameSync(path, `${path}.1`) }],
  ['removed', unlinkSync],
  ['moved away and made anew', (path) => { renameSync(path, `${path}.1`); writeFileSync(path, '') }],
  ['emptied', (path) => { truncateSync(path) }]
])('a file that somebody else has %s is noticed', async ([, change], { open }) => {
  const { path, write } = open()
  write('logs', line({ n: 0 }))
  await expect.poll(() => readFileSync(path, 'utf8')).toContain('"n":0')
  change(path)

  await expect.poll(() => {
    write('logs', line({ n: 1 }))
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0
  }).toBeGreaterThan(0)
  expect(readFileSync(path, 'utf8')).toMatch(/^\{"level"/)
})

test('a disk that is full is told once, and does not hold up the end', async ({ open }) => {
  const sink = open({ tracing_file: '/dev/full' })
  for (const n of upTo(10)) sink.write('logs', line({ n }))
  await expect.poll(() => sink.said).toHaveLength(1)
  await sink.close()

  expect(sink.said).toMatchObject([{ message: 'the trace file cannot be written', facts: { err: { code: 'ENOSPC' }, times: 1 } }])
  expect(sink.lost).toBe(10)
})

test('what does not fit while the file cannot be written is counted, and told in its place once it can', async ({ open, folder }) => {
  mkdirSync(join(folder, 'trace.log'))
  const sink = open()
  const text = 'x'.repeat(100_000)
  for (const n of upTo(100)) sink.write('logs', line({ n, text }))
  await expect.poll(() => sink.said.length).toBeGreaterThan(0)
  rmdirSync(sink.path)
  await expect.poll(() => allLines(folder).at(-1)).toContain('left out')
  sink.write('logs', line({ n: 100 }))
  await sink.close()

  const all = allLines(folder).map((one) => JSON.parse(one) as { n?: number, lost?: number })
  const kept = all.length - 2
  expect(sink.lost).toBe(100 - kept)
  expect(kept).toBeGreaterThan(80)
  expect(all.map(({ n }) => n)).toEqual([...upTo(kept), undefined, 100])
  expect(all.at(-2)).toMatchObject({ level: 'warn', lost: 100 - kept, topic: 'logs' })
})

test('rotated files that cannot be packed stay beside the file, and nothing is lost', async ({ open, folder }) => {
  const archive = join(folder, 'file')
  appendFileSync(archive, '')
  const sink = open({ tracing_file: join(folder, 'own', 'trace.log'), tracing_file_bytes: 4_096, tracing_archive: archive })
  for (const n of upTo(100)) sink.write('logs', line({ n }))
  await sink.close()

  expect(numbers(allLines(join(folder, 'own')))).toEqual(upTo(100))
  expect(sink.said[0]).toMatchObject({ message: 'a rotated trace file cannot be packed' })
})

test('a file that cannot be put aside is written on', async ({ open, folder }) => {
  // With what is added to it the name is too long.
  const sink = open({ tracing_file: join(folder, 'x'.repeat(245)), tracing_file_bytes: 4_096 })
  for (const n of upTo(100)) sink.write('logs', line({ n }))
  await sink.close()

  expect(numbers(allLines(folder))).toEqual(upTo(100))
  expect(sink).toMatchObject({ lost: 0, said: [{ message: 'the trace file cannot be rotated' }] })
})
