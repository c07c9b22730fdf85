import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where a stream is read, and how events come in: as OTLP, many at once, or each as the text of its JSON. */
export interface Source { stream: string, publish: string, headers: Record<string, string>, form: 'otlp' | 'text' }

/** Opens so many streams of a source; or sends 100 events a second there for so many seconds, some at a time, and waits until all streams have them; or closes them. */
export type ReadersOrder = { open: number, source: Source } | { publish: number, atOnce: number, source: Source } | { close: true }

/** What the streams got; delays are from the call that published to the read of the event. */
export interface Delivery { published: number, delivered: number, short: number, disordered: number, p50Ms: number, p99Ms: number }

const token = '"message":"n='
const sampleEvery = 25
const perSecond = 100
const patience = 10_000

/** One stream on a bare socket, which counts events without taking them apart; some look at each, for its number and its age. */
class Reader {
  events = 0
  disordered = 0
  readonly delays: number[] = []
  readonly #socket: Socket
  readonly #looks: boolean
  #tail = Buffer.alloc(0)
  #text = ''
  #last = 0

  constructor (socket: Socket, looks: boolean) {
    this.#socket = socket
    this.#looks = looks
  }

  /** Once the head of the answer is there. */
  static async open ({ stream, headers }: Source, looks: boolean): Promise<Reader> {
    const { hostname, port, pathname, search, host } = new URL(stream)
    const socket = connect(Number(port), hostname)
    const lines = Object.entries({ host, accept: 'text/event-stream', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`GET ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`)
    const reader = new Reader(socket, looks)
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject).once('data', (head: Buffer) => {
        if (head.toString('latin1').startsWith('HTTP/1.1 200 ')) resolve()
        else reject(new Error(`the stream answers ${head.toString('latin1').slice(0, 400)}`))
      })
    })
    socket.on('data', (chunk: Buffer) => { reader.#read(chunk) }).on('error', () => {})
    return reader
  }

  close (): void {
    this.#socket.destroy()
  }

  /** Before the next events, which begin with 1 again. */
  reset (): void {
    this.events = this.disordered = this.#last = 0
    this.delays.length = 0
  }

  #read (chunk: Buffer): void {
    if (this.#looks) {
      this.#look(chunk)
      return
    }
    // What lies across two chunks is in the end of one and the beginning of the other, and no longer than both.
    if (this.#tail.length > 0) this.events += count(Buffer.concat([this.#tail, chunk.subarray(0, token.length - 1)]))
    this.events += count(chunk)
    const ends = chunk.length >= token.length ? chunk : Buffer.concat([this.#tail, chunk])
    this.#tail = Buffer.from(ends.subarray(-(token.length - 1)))
  }

  #look (chunk: Buffer): void {
    const now = performance.timeOrigin + performance.now()
    const parts = (this.#text + chunk.toString('latin1')).split('\n')
    this.#text = parts.pop()!
    for (const part of parts) {
      const [, n, at] = /"message":"n=(\d+) at=([\d.]+)/.exec(part) ?? []
      if (n === undefined) continue
      this.events++
      if (Number(n) !== ++this.#last) this.disordered++
      this.delays.push(now - Number(at))
    }
  }
}

function count (bytes: Buffer): number {
  let found = 0
  for (let at = bytes.indexOf(token); at !== -1; at = bytes.indexOf(token, at + token.length)) found++
  return found
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 })
let readers: Reader[] = []

/** Not all at once, or the queue of the listening socket overflows. */
async function open (amount: number, source: Source): Promise<void> {
  while (readers.length < amount) {
    const more = Math.min(100, amount - readers.length)
    readers.push(...await Promise.all(Array.from({ length: more }, async (_, i) => await Reader.open(source, (readers.length + i) % sampleEvery === 0))))
  }
}

async function publish (seconds: number, atOnce: number, source: Source): Promise<Delivery> {
  for (const reader of readers) reader.reset()
  const published = seconds * perSecond
  const started = performance.now()
  for (let n = 0; n < published; n += atOnce) {
    await sleep(Math.max(0, started + n / perSecond * 1_000 - performance.now()))
    for (const body of bodies(n, atOnce, source.form)) await post(source, body)
  }
  for (const end = performance.now() + patience; performance.now() < end && readers.some(({ events }) => events < published);) await sleep(20)
  const delays = readers.flatMap((reader) => reader.delays).sort((a, b) => a - b)
  return {
    published,
    delivered: readers.reduce((sum, { events }) => sum + events, 0),
    short: readers.filter(({ events }) => events !== published).length,
    disordered: readers.reduce((sum, { disordered }) => sum + disordered, 0),
    p50Ms: delays[Math.floor(delays.length / 2)] ?? NaN,
    p99Ms: delays[Math.floor(delays.length * 0.99)] ?? NaN
  }
}

function bodies (before: number, atOnce: number, form: Source['form']): string[] {
  const now = performance.timeOrigin + performance.now()
  const messages = Array.from({ length: atOnce }, (_, i) => `n=${before + i + 1} at=${now.toFixed(3)} order 4711 of customer 0815 was paid by card, shipped from warehouse 3`)
  if (form === 'text') return messages.map((message) => JSON.stringify({ timestamp: new Date(now).toISOString(), level: 'info', message, service: 'bench' }))
  const logRecords = messages.map((stringValue) => ({ timeUnixNano: `${Math.round(now)}000000`, severityNumber: 9, body: { stringValue } }))
  return [JSON.stringify({ resourceLogs: [{ resource: { attributes: [{ key: 'service.name', value: { stringValue: 'bench' } }] }, scopeLogs: [{ logRecords }] }] })]
}

async function post ({ publish: url, headers, form }: Source, body: string): Promise<void> {
  const type = form === 'otlp' ? 'application/json' : 'text/plain'
  await new Promise<void>((resolve, reject) => {
    request(url, { method: 'POST', agent, headers: { ...headers, 'content-type': type, 'content-length': Buffer.byteLength(body) } }, (res) => {
      res.resume().once('end', () => {
        if (res.statusCode! < 300) resolve()
        else reject(new Error(`the events are answered ${res.statusCode}`))
      })
    }).once('error', reject).end(body)
  })
}

process.on('disconnect', () => process.exit())
process.on('message', (order: ReadersOrder) => {
  obey(order).then((result) => process.send?.(result)).catch((error) => { throw error })
})

async function obey (order: ReadersOrder): Promise<Delivery | { open: number }> {
  if ('publish' in order) return await publish(order.publish, order.atOnce, order.source)
  if ('open' in order) await open(order.open, order.source)
  else {
    for (const reader of readers) reader.close()
    readers = []
  }
  return { open: readers.length }
}
