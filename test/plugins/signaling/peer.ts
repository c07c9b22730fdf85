import { setTimeout as sleep } from 'node:timers/promises'
import type { Receipt, RtcJoined, RtcSession, RtcSignal, RtcState } from '../../../schemas/rtc.ts'
import { as } from '../../app.ts'

/** An event as a stream has it. */
export interface Heard { event: string, id: string | undefined, data: Partial<Omit<RtcSignal, 'type'>> & Partial<Omit<RtcState, 'type'>> & { type?: RtcSignal['type'] | RtcState['type'] } }

export const sdp = (fragment = 'frag', more = '') => `v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:${fragment}\r\n${more}`
export const candidate = (fragment?: string, port = 1) => ({ candidate: `candidate:1 1 udp 1 192.0.2.7 ${port} typ host`, sdpMid: '0', ...(fragment !== undefined && { usernameFragment: fragment }) })

/** The key that peers come with. */
export const shown = { headers: as('user') as Record<string, string> }

type Answer<T> = T & { error?: { code: string, message: string, details?: Record<string, unknown> } }

export async function call<T> (url: string, method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ status: number, etag: string | null, json: Answer<T> }> {
  const response = await fetch(`${url}/api/v1/rtc${path}`, { method, headers: { ...shown.headers, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }, body: body === undefined ? undefined : JSON.stringify(body) })
  return { status: response.status, etag: response.headers.get('etag'), json: await response.json() as Answer<T> }
}

/** One participant that speaks by REST and listens by SSE. */
export class Peer {
  readonly joined: RtcJoined
  readonly heard: Heard[] = []
  ended: string | undefined
  status = 0
  isOpen = false
  url: string
  #stop = new AbortController()

  constructor (url: string, joined: RtcJoined) {
    this.url = url
    this.joined = joined
  }

  static async open (url: string, options: Record<string, unknown> = {}): Promise<Peer> {
    return new Peer(url, (await call<RtcJoined>(url, 'POST', '/sessions', { user_id: 'ada', ...options })).json)
  }

  static async join (url: string, { joined }: Peer, userId = 'ben'): Promise<Peer> {
    const { json, status } = await call<RtcJoined>(url, 'POST', `/sessions/${joined.session_id}/participants`, { user_id: userId })
    if (status !== 201) throw new Error(JSON.stringify(json))
    return new Peer(url, json)
  }

  get id (): string { return this.joined.participant_id }
  /** Who is there, by the newest that it was told. */
  get roster (): { version: number, ids: string[] } {
    const [newest] = this.heard.filter(({ data }) => data.participants !== undefined).sort((a, b) => b.data.version! - a.data.version!)
    return { version: newest?.data.version ?? 0, ids: (newest?.data.participants ?? []).map(({ participant_id: id, state }) => `${id} ${state}`).sort() }
  }

  get session (): string { return this.joined.session_id }
  get token (): Record<string, string> { return { 'x-participant-token': this.joined.participant_token } }
  get lastId (): string | undefined { return this.heard.filter(({ id }) => id !== undefined).at(-1)?.id }
  get signals (): Heard['data'][] { return this.heard.filter(({ event }) => event === 'rtc_signal').map(({ data }) => data) }
  get types (): unknown[] { return this.heard.map(({ event, data }) => event === 'rtc_state' || event === 'rtc_signal' ? data.type : event) }

  /** Resolves with the first event. */
  async listen (headers: Record<string, string> = {}): Promise<this> {
    const stop = this.#stop = new AbortController()
    this.ended = undefined
    const response = await fetch(`${this.url}/api/v1/rtc/sessions/${this.session}/events?participant_id=${this.id}`, { headers: { ...shown.headers, ...this.token, ...headers }, signal: stop.signal })
    this.status = response.status
    if (response.status !== 200) return this
    const before = this.heard.length
    this.isOpen = true
    this.#read(response).catch(() => {}).finally(() => { if (stop === this.#stop) this.isOpen = false })
    for (let tries = 0; this.heard.length === before && tries < 500; tries++) await sleep(10)
    return this
  }

  hangUp (): void { this.#stop.abort() }

  async send (type: 'offer' | 'answer' | 'ice-candidate' | 'state' | 'data', body: Record<string, unknown>, headers: Record<string, string> = {}) {
    return await call<Receipt>(this.url, 'POST', `/${type}`, { session_id: this.session, participant_id: this.id, ...body }, { ...this.token, ...headers })
  }

  async offer (fragment?: string, more: Record<string, unknown> = {}) {
    return await this.send('offer', { description: { type: 'offer', sdp: sdp(fragment) }, ...more })
  }

  async answer (offer: string, fragment?: string) {
    return await this.send('answer', { description: { type: 'answer', sdp: sdp(fragment) }, in_reply_to: offer })
  }

  async leave () {
    return await call<{ status: string }>(this.url, 'DELETE', `/sessions/${this.session}/participants/${this.id}`, undefined, this.token)
  }

  async read () {
    return await call<RtcSession>(this.url, 'GET', `/sessions/${this.session}`, undefined, this.token)
  }

  async #read (response: Response): Promise<void> {
    let rest = ''
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + chunk).split('\n\n')
      rest = blocks.pop()!
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split('\n').filter((line) => !line.startsWith(':')).map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]))
        if (fields.event === undefined) continue
        const heard: Heard = { event: fields.event, id: fields.id, data: JSON.parse(fields.data!) as Heard['data'] }
        this.heard.push(heard)
        if (heard.event === 'end') this.ended = heard.data.reason
      }
    }
  }
}
