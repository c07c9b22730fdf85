import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'

/** Pairs of sockets that talk to each other, at so many frames a second each; where `rooms` is set they are peers in rooms of that server. */
export interface Talk { url: string, pairs: number, rate: number, seconds: number, hasReceipts: boolean, headers: Record<string, string>, rooms?: string }

/** What came of it. */
export interface Talked { sent: number, delivered: number, p50Ms: number, p99Ms: number, failures: number }

interface Joined { session_id: string, participant_id: string, participant_token: string }
interface Frame { type: string, id?: string, data?: { type?: string, signal_id?: string, candidates?: { candidate: string }[], candidate?: { candidate: string } } }
interface Talker { socket: WebSocket, joined: Joined | undefined, frames: Frame[] }

const tickMs = 20
const sdp = 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:frag\r\n'
let open: { of: string, pairs: [Talker, Talker][] } | undefined
let count = 0

process.on('message', (order: Talk) => {
  talk(order).then((answer) => process.send?.(answer), (error: unknown) => { throw error })
})
process.on('disconnect', () => process.exit())

async function talk (order: Talk): Promise<Talked> {
  const of = `${order.url} ${order.pairs}`
  if (open?.of !== of) {
    for (const talker of open?.pairs.flat() ?? []) talker.socket.terminate()
    open = { of, pairs: [] }
    while (open.pairs.length < order.pairs) open.pairs.push(await pairOf(order, open.pairs.length))
  }
  const waits: number[] = []
  const talkers = open.pairs.flat()
  let [sent, failures] = [0, 0]
  for (const talker of talkers) {
    talker.socket.removeAllListeners('message')
    talker.socket.on('message', (message: Buffer) => {
      const { type, data } = JSON.parse(message.toString()) as Frame
      if (type === 'error') failures++
      if (type !== 'rtc_signal') return
      const text = (data!.candidates?.[0] ?? data!.candidate)!.candidate
      waits.push(performance.now() - Number(text.slice(text.lastIndexOf(' ') + 1)))
    })
  }
  const started = performance.now()
  for (let due = 0; performance.now() - started < order.seconds * 1_000; await sleep(tickMs)) {
    const wanted = (performance.now() - started) / 1_000 * order.rate * talkers.length
    for (; due < wanted; due++) {
      say(talkers[due % talkers.length]!, order.hasReceipts)
      sent++
    }
  }
  // The last ones are on their way.
  for (let tries = 0; waits.length < sent && tries < 100; tries++) await sleep(10)
  waits.sort((a, b) => a - b)
  return { sent, delivered: waits.length, failures, p50Ms: waits[Math.floor(waits.length / 2)] ?? NaN, p99Ms: waits[Math.floor(waits.length * 0.99)] ?? NaN }
}

function say ({ socket, joined }: Talker, hasReceipts: boolean): void {
  const candidate = { candidate: `candidate:842163049 1 udp 1677729535 203.0.113.7 54400 typ srflx raddr 10.0.0.7 rport 54400 generation 0 ${performance.now()}`, sdpMid: '0', sdpMLineIndex: 0 }
  socket.send(JSON.stringify({ type: 'rtc_signal', ...(hasReceipts && { id: `s${++count}` }), data: { type: 'candidate', session_id: joined?.session_id ?? 'rtc_none', participant_id: joined?.participant_id ?? 'prt_none', candidate } }))
}

/** Two that have offered and answered, so that their candidates are wanted. */
async function pairOf ({ url, headers, rooms }: Talk, at: number): Promise<[Talker, Talker]> {
  const room = rooms === undefined ? `?room=${at}` : ''
  const [one, other] = [await talkerOf(`${url}${room}`, headers), await talkerOf(`${url}${room}`, headers)]
  if (rooms === undefined) return [one, other]
  const post = async (path: string): Promise<Joined> => {
    const res = await fetch(`${rooms}${path}`, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: '{}' })
    if (!res.ok) throw new Error(`${path} answers ${res.status} ${await res.text()}`)
    return await res.json() as Joined
  }
  one.joined = await post('')
  other.joined = await post(`/${one.joined.session_id}/participants`)
  for (const talker of [one, other]) await ask(talker, 'rtc_subscribe', pick(talker.joined!, true), 'rtc_state')
  await ask(other, 'rtc_signal', { type: 'offer', ...pick(other.joined), description: { type: 'offer', sdp } }, 'rtc_receipt')
  const { data } = await next(one, 'rtc_signal')
  await ask(one, 'rtc_signal', { type: 'answer', ...pick(one.joined), in_reply_to: data!.signal_id, description: { type: 'answer', sdp } }, 'rtc_receipt')
  await next(other, 'rtc_signal')
  return [one, other]
}

async function talkerOf (url: string, headers: Record<string, string>): Promise<Talker> {
  const socket = new WebSocket(url, { headers, perMessageDeflate: false })
  await once(socket, 'open')
  const talker: Talker = { socket, joined: undefined, frames: [] }
  socket.on('message', (message: Buffer) => { talker.frames.push(JSON.parse(message.toString()) as Frame) })
  return talker
}

async function ask (talker: Talker, type: string, data: object, answer: string): Promise<Frame> {
  talker.socket.send(JSON.stringify({ type, id: `${type}_${++count}`, data }))
  return await next(talker, answer)
}

async function next ({ frames }: Talker, type: string): Promise<Frame> {
  for (let tries = 0; tries < 1_000; tries++) {
    const failure = frames.find((frame) => frame.type === 'error')
    if (failure !== undefined) throw new Error(`the server answers ${JSON.stringify(failure)}`)
    const found = frames.find((frame) => frame.type === type)
    if (found !== undefined) return found
    await sleep(5)
  }
  throw new Error(`no ${type} came`)
}

function pick ({ session_id, participant_id, participant_token }: Joined, hasToken = false): object {
  return { session_id, participant_id, ...(hasToken && { participant_token }) }
}
