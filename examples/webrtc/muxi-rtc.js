/**
 * Rooms of WebRTC peers over a muxi-api: one file to copy, without dependencies and without a build.
 *
 *     import { MuxiRoom } from './muxi-rtc.js'
 *
 *     const room = await MuxiRoom.create({ server: 'https://api.example.com', key, userId: 'ada' })
 *     room.addEventListener('message', ({ detail }) => console.log(detail.from, detail.data))
 *     room.setTrack('audio', (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks()[0])
 *     await room.send('hello')
 *
 * Every two participants have one RTCPeerConnection (a full mesh). The room finds its way back by itself: after a reload, a
 * break of the network, an instance that goes; and takes the steps that the server names when two do not reach each other.
 *
 * Events, all with `detail`: `roster` {participants}, `peer` {peer} (its state, route or step), `track` {peer, stream},
 * `message` {from, data, relayed}, `progress` and `file` (see sendFile), `signaling` {state, transport}, `log` {text}, `end` {reason}.
 */

/**
 * @typedef {'new' | 'connecting' | 'connected' | 'disconnected' | 'failed' | 'closed'} State
 * @typedef {'ice_restart' | 'relay_only' | 'sse' | 'data_relay'} Step
 * @typedef {{ participant_id: string, user_id: string, state: 'joined' | 'reconnecting', order: number, connection_state?: State }} Participant
 * @typedef {{ local: string, remote: string, protocol?: string }} Route
 * @typedef {{ signal_id: string, type: string, from: string, description?: any, candidates?: any[], negotiation_id?: string, in_reply_to?: string, data?: string, encoding?: string, relayed?: boolean }} Signal
 * @typedef {{ session_id: string, participant_id: string, participant_token: string }} Membership
 * @typedef {{ final: boolean, reason: string, afterMs?: number }} Ending why a connection to the server is over, and whether another may follow
 * @typedef {object} Options
 * @property {string} server where the server is, as https://api.example.com
 * @property {string | (() => string | Promise<string>)} key a key or user token; a function is asked before each use
 * @property {string} [userId] as whom one joins
 * @property {{ audio?: boolean, video?: boolean, screen?: boolean }} [media] told to all who join
 * @property {number} [maxParticipants] 2 to 16
 * @property {'auto' | 'socket' | 'sse'} [signal] how to listen; auto: by socket, and by SSE where no socket gets through
 * @property {boolean} [relayOnly] connect over TURN alone
 * @property {Storage | null} [storage] where a reload finds its place again; null: nowhere
 * @property {number} [connectMs] how long two may take to connect before that counts as failed
 * @property {number} [maxFileBytes] larger files are refused
 */

const longestPauseMs = 10_000
const receiptMs = 10_000
const silenceMs = 45_000
const pingMs = 15_000
const batchMs = 20
const nothingFoundMs = 1_000
const mostCandidates = 50
const mostQueued = 64
const chunkBytes = 64 * 1024
const fullBytes = 1024 * 1024
const fileProtocol = 'muxi-file.1'
/** After these nobody may come back as this participant. */
const finalReasons = ['taken_over', 'left', 'session_closed', 'unauthorized', 'forbidden', 'not_found']
const finalCodes = /** @type {Record<number, string>} */ ({ 4401: 'unauthorized', 4403: 'forbidden', 4404: 'not_found', 4409: 'taken_over', 4429: 'rate_limited' })

/** A failure that the server names by its code. */
export class MuxiError extends Error {
  /** @param {string} code @param {string} message @param {any} [details] */
  constructor (code, message, details) {
    super(message)
    this.code = code
    this.details = details
  }
}

/** An offer or data that came twice would be two; all else is the same the second time. @param {string} type */
const isRepeatable = (type) => type !== 'offer' && type !== 'data'

/** The connection broke before it was known what became of it. */
class Broken extends Error {}

/** A room as one of its participants. */
export class MuxiRoom extends EventTarget {
  /** @type {Map<string, Peer>} all others who are there */
  peers = new Map()
  /** @type {Participant[]} */
  participants = []
  /** @type {'connecting' | 'open' | 'reconnecting' | 'ended'} */
  state = 'connecting'
  /** @type {'socket' | 'sse'} how it listens, or will next */
  transport
  /** @type {RTCIceServer[]} */
  iceServers = []
  /** @type {Record<'audio' | 'video', MediaStreamTrack | null>} */
  tracks = { audio: null, video: null }
  /** Tracks are sent as of this stream. */
  stream = new MediaStream()
  version = 0

  /** @type {Membership} */ #me
  /** @type {Options} */ #options
  /** @type {SocketWay | StreamWay | undefined} */ #way
  /** @type {string | undefined} */ #lastEventId
  /** @type {((value?: unknown) => void)[]} */ #onOpen = []
  #isResuming = false
  #wake = () => {}
  #wanted

  /** Opens a room; who calls is its first participant. @param {Options} options */
  static async create (options) {
    const { userId, media, maxParticipants } = options
    const joined = await callRest(options, 'POST', '/rtc/sessions', { body: { user_id: userId, media, max_participants: maxParticipants } })
    return new MuxiRoom(options, joined)
  }

  /** Joins a room, or goes on as the participant that this page was before it was loaded again. @param {string} id @param {Options} options */
  static async join (id, options) {
    const kept = keptIn(options, id)
    if (kept !== undefined) {
      try {
        const session = await callRest(options, 'GET', `/rtc/sessions/${id}`, { token: kept.participant_token })
        if (session.participants.some((/** @type {Participant} */ one) => one.participant_id === kept.participant_id)) return new MuxiRoom(options, { ...session, ...kept })
      } catch (error) {
        if (!(error instanceof MuxiError) || error.code !== 'not_found') throw error
      }
    }
    const joined = await callRest(options, 'POST', `/rtc/sessions/${encodeURIComponent(id)}/participants`, { body: { user_id: options.userId } })
    return new MuxiRoom(options, joined)
  }

  /** @param {Options} options @param {any} joined what the server answered */
  constructor (options, joined) {
    super()
    this.#options = options
    const { session_id, participant_id, participant_token, ice_servers = [], participants, version } = joined
    this.#me = { session_id, participant_id, participant_token }
    this.iceServers = serversIn(ice_servers)
    this.#wanted = options.signal ?? 'auto'
    this.transport = this.#wanted === 'sse' ? 'sse' : 'socket'
    this.#takeRoster(participants, version)
    storageOf(options)?.setItem(`muxi-rtc:${session_id}`, JSON.stringify(this.#me))
    // In the next task, so that whoever made the room hears its events.
    setTimeout(() => { this.#stay() })
    addEventListener('online', this.#reconnect)
  }

  get id () { return this.#me.session_id }
  /** One's own participant. */
  get participantId () { return this.#me.participant_id }
  get options () { return this.#options }
  get membership () { return this.#me }
  get lastEventId () { return this.#lastEventId }
  get ended () { return this.state === 'ended' }
  get order () { return this.participants.find((one) => one.participant_id === this.participantId)?.order ?? 0 }

  /**
   * Sends a text or bytes to one, or to all: over the data channel, or over the server to those who are not reached otherwise.
   * While two are still connecting it waits for that. Rejects where it is refused, as when it is too much for the server.
   * @param {string | ArrayBuffer | ArrayBufferView<ArrayBuffer>} data @param {string} [to]
   */
  async send (data, to) {
    return await Promise.all(this.#peersFor(to).map(async (peer) => ({ to: peer.id, via: await peer.send(data) })))
  }

  /**
   * Sends a file over data channels of its own. All are told of `progress` {peer, name, sent|received, size, direction}; the receivers of
   * `file` {from, name, type, blob, sha256, checked}. Resolves when each has it and its SHA-256 is right.
   * @param {File} file @param {string} [to]
   */
  async sendFile (file, to) {
    await Promise.all(this.#peersFor(to).map(async (peer) => { await sendFile(peer, file) }))
  }

  /** Sends this track in the place of the one before of its kind; null: none. @param {'audio' | 'video'} kind @param {MediaStreamTrack | null} track */
  async setTrack (kind, track) {
    this.tracks[kind] = track
    for (const old of this.stream.getTracks()) if (old.kind === kind) this.stream.removeTrack(old)
    if (track !== null) this.stream.addTrack(track)
    await Promise.all([...this.peers.values()].map(async (peer) => { await peer.setTrack(kind, track) }))
  }

  /** Listens by the other way from now on. @param {'socket' | 'sse'} transport */
  switchTo (transport) {
    this.#wanted = transport
    if (this.transport === transport && this.#way?.transport === transport) return
    this.transport = transport
    this.#reconnect()
  }

  /** Leaves the room for good. */
  async leave () {
    if (this.ended) return
    const { session_id, participant_id, participant_token: token } = this.#me
    this.#end('left')
    await callRest(this.#options, 'DELETE', `/rtc/sessions/${session_id}/participants/${participant_id}`, { token, keepalive: true }).catch(() => {})
  }

  /** @param {string} text @param {unknown} [detail] */
  log (text, detail) { this.tell('log', { text, detail }) }

  /** @param {string} type @param {object} detail */
  tell (type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })) }

  /**
   * Passes a signal on, as soon as there is a connection. Where that breaks before the receipt what may come twice is sent again.
   * @param {'offer' | 'answer' | 'candidate' | 'state' | 'data'} type @param {object} body
   */
  async signal (type, body) {
    const { session_id, participant_id } = this.#me
    for (let refusals = 0; ;) {
      if (this.#way?.isOpen !== true) await new Promise((resolve) => { this.#onOpen.push(resolve) })
      if (this.ended) throw new Broken('the room has ended')
      try {
        return await /** @type {SocketWay | StreamWay} */ (this.#way).signal(type, { session_id, participant_id, ...body })
      } catch (error) {
        if (error instanceof MuxiError && error.code === 'rate_limited' && ++refusals < 5) await pauseOf(error)
        else if (!(error instanceof Broken) || !isRepeatable(type)) throw error
      }
    }
  }

  /** Comes back whenever the connection to the server ends, until the room does. */
  async #stay () {
    let failures = 0
    while (!this.ended) {
      const way = this.transport === 'sse' ? new StreamWay(this) : new SocketWay(this)
      this.#way = way
      // Whoever comes without the last event begins anew, and the others are told so.
      this.#isResuming = this.#lastEventId !== undefined
      const { final, reason, afterMs } = await way.run({
        onOpen: () => {
          failures = 0
          this.#become('open')
          for (const go of this.#onOpen.splice(0)) go()
        },
        onEvent: (event) => { this.#onEvent(event) }
      })
      if (this.ended) return
      if (final || (!way.wasOpen && await this.#isGone())) return this.#end(reason)
      this.#become('reconnecting')
      this.log(`${way.transport} ended: ${reason}`)
      if (!way.wasOpen && ++failures % 2 === 0 && this.#wanted === 'auto') this.transport = this.transport === 'sse' ? 'socket' : 'sse'
      // Full jitter: those whom one break has cut off do not come back at once.
      const pause = this.transport !== way.transport && way.wasOpen ? 0 : afterMs ?? Math.random() * Math.min(longestPauseMs, 500 * 2 ** failures)
      await new Promise((resolve) => {
        this.#wake = () => { resolve(undefined) }
        setTimeout(resolve, pause)
      })
    }
  }

  /** A socket that does not open does not say why; the room itself does. */
  async #isGone () {
    const { session_id, participant_token: token } = this.#me
    try {
      const { status } = await callRest(this.#options, 'GET', `/rtc/sessions/${session_id}`, { token })
      return status === 'closed'
    } catch (error) {
      return error instanceof MuxiError && ['unauthorized', 'forbidden', 'not_found'].includes(error.code)
    }
  }

  /** @param {{ name: string, id?: string, data: any }} event */
  #onEvent ({ name, id, data }) {
    if (id) this.#lastEventId = id
    if (name === 'rtc_signal') this.#onSignal(data)
    else if (name === 'rtc_state') this.#onState(data)
    else if (name === 'gap') void this.#readRoster()
  }

  /** @param {Signal} signal */
  #onSignal (signal) {
    const peer = this.peers.get(signal.from)
    if (peer === undefined) return this.log(`${signal.type} of ${signal.from}, who is not there`)
    if (signal.type === 'data') {
      const { from, encoding, data = '' } = signal
      return this.tell('message', { from, data: encoding === 'base64' ? bytesOf(data).buffer : data, relayed: true })
    }
    peer.take(signal)
  }

  /** @param {any} event */
  #onState (event) {
    const { type, participant_id, to, participants, version, ice_servers, step } = event
    const other = this.peers.get(participant_id === this.participantId ? to : participant_id)
    if (participants !== undefined) this.#takeRoster(participants, version)
    if (ice_servers !== undefined) this.#takeServers(ice_servers)
    const who = other?.participant.user_id ?? (participant_id === this.participantId ? 'oneself' : participant_id)
    if (type !== 'connection_state' && type !== 'negotiation') this.log([type.replaceAll('_', ' '), step, who, event.reason].filter(Boolean).join(', '))
    if (type === 'welcome') {
      for (const peer of this.peers.values()) if (!this.#isResuming || peer.connection === undefined) peer.begin()
    } else if (type === 'participant_restarted') other?.begin()
    else if (type === 'participant_resumed') other?.resume()
    else if (type === 'fallback') other?.fallBack(step)
    else if (type === 'resync') for (const peer of this.peers.values()) peer.resume()
  }

  /** The newest version holds, whatever comes after it. @param {Participant[]} participants @param {number} version */
  #takeRoster (participants, version) {
    if (version < this.version) return
    this.version = version
    this.participants = participants
    const others = participants.filter((one) => one.participant_id !== this.participantId)
    for (const [id, peer] of this.peers) {
      if (others.some((one) => one.participant_id === id)) continue
      peer.close()
      this.peers.delete(id)
    }
    for (const one of others) {
      const peer = this.peers.get(one.participant_id)
      if (peer === undefined) this.peers.set(one.participant_id, new Peer(this, one))
      else peer.participant = one
    }
    this.tell('roster', { participants })
  }

  async #readRoster () {
    const { session_id, participant_token: token } = this.#me
    const { participants, version } = await callRest(this.#options, 'GET', `/rtc/sessions/${session_id}`, { token })
    this.#takeRoster(participants, version)
  }

  /** @param {any[]} servers */
  #takeServers (servers) {
    this.iceServers = serversIn(servers)
    for (const peer of this.peers.values()) peer.configure()
  }

  #reconnect = () => {
    this.#way?.close()
    this.#wake()
  }

  /** @param {'connecting' | 'open' | 'reconnecting' | 'ended'} state */
  #become (state) {
    this.state = state
    this.tell('signaling', { state, transport: this.#way?.transport ?? this.transport })
  }

  /** @param {string} reason */
  #end (reason) {
    if (this.ended) return
    this.#become('ended')
    removeEventListener('online', this.#reconnect)
    // Who took over in another page keeps it there.
    storageOf(this.#options)?.removeItem(`muxi-rtc:${this.id}`)
    for (const peer of this.peers.values()) peer.close()
    this.#reconnect()
    for (const go of this.#onOpen.splice(0)) go()
    this.tell('end', { reason })
  }

  /** @param {string | undefined} to */
  #peersFor (to) {
    if (to === undefined) return [...this.peers.values()]
    const peer = this.peers.get(to)
    if (peer === undefined) throw new MuxiError('not_found', `no participant ${to}`)
    return [peer]
  }
}

/** Another participant, and the connection to it: perfect negotiation with the roles that follow from who joined first (W3C WebRTC, section 10.7). */
export class Peer {
  /** @type {RTCPeerConnection | undefined} */ connection
  /** @type {RTCDataChannel | undefined} */ channel
  /** @type {State} */ state = 'new'
  /** @type {Route | undefined} how the two reach each other */ route
  /** @type {Step | undefined} the fallback that is tried */ step
  /** @type {Step[]} all that were tried since it began */ steps = []
  /** What the other sends. */
  stream = new MediaStream()

  /** @type {MuxiRoom} */ #room
  /** @type {Record<string, RTCRtpSender>} */ #senders = {}
  /** @type {string | undefined} */ #negotiation
  /** @type {any[]} */ #candidates = []
  /** @type {{ data: any, done: (via: string) => void, fail: (error: unknown) => void }[]} */ #queue = []
  /** @type {Promise<unknown>} */ #turn = Promise.resolve()
  /** @type {RTCIceTransportPolicy | undefined} */ #policy
  #restarts = false
  #found = 0
  /** @type {any} */ #flushing
  /** @type {any} */ #deadline

  /** @param {MuxiRoom} room @param {Participant} participant */
  constructor (room, participant) {
    this.#room = room
    this.participant = participant
  }

  get id () { return this.participant.participant_id }
  get room () { return this.#room }
  /** Of two the later one offers first, and gives way when both offer at once. */
  get isInitiator () { return this.#room.order > this.participant.order }
  /** Whether data go over the server. */
  get isRelayed () { return this.step === 'data_relay' && this.channel?.readyState !== 'open' }

  /** Connects anew; of the two only the initiator begins. */
  begin () {
    this.reset()
    if (!this.isInitiator) return
    const connection = this.#make()
    this.#attach(connection.createDataChannel('data'))
    this.#addTracks(connection)
  }

  /** Lets go of the connection; what waits to be sent still waits. */
  reset () {
    this.#found = 0
    clearTimeout(this.#deadline)
    clearTimeout(this.#flushing)
    this.connection?.close()
    this.connection = this.channel = this.route = this.step = this.#policy = this.#negotiation = undefined
    this.steps = []
    this.#restarts = false
    this.#senders = {}
    this.#candidates = []
    for (const track of this.stream.getTracks()) this.stream.removeTrack(track)
    this.#become('new')
  }

  close () {
    this.reset()
    this.#become('closed')
    for (const { fail } of this.#queue.splice(0)) fail(new MuxiError('not_found', `${this.id} has left`))
  }

  /** One of the two was away, and both have what they had: what may not have arrived meanwhile is said again. */
  resume () {
    if (this.connection !== undefined && this.connection.connectionState !== 'connected' && this.isInitiator) this.restart()
    else if (this.connection?.signalingState === 'have-local-offer') this.restart()
  }

  /** Takes the next step to reach it, as the server says. @param {Step} step */
  fallBack (step) {
    this.step = step
    this.steps.push(step)
    this.#policy = step === 'relay_only' ? 'relay' : undefined
    this.configure()
    this.#changed()
    if (step === 'data_relay') {
      clearTimeout(this.#deadline)
      return this.#flush()
    }
    if (step === 'sse') this.#room.switchTo('sse')
    if (this.isInitiator) this.restart()
    else this.#arm()
  }

  /** Looks for another way to the other (ICE restart). */
  restart () {
    this.#inTurn(async (connection) => {
      if (connection.signalingState === 'have-local-offer') await connection.setLocalDescription({ type: 'rollback' })
      this.#restarts = true
      connection.restartIce()
    })
  }

  configure () {
    const connection = this.connection
    if (connection !== undefined) connection.setConfiguration({ ...connection.getConfiguration(), ...this.#configuration() })
  }

  /** @param {'audio' | 'video'} kind @param {MediaStreamTrack | null} track */
  async setTrack (kind, track) {
    const sender = this.#senders[kind]
    if (sender !== undefined) {
      await sender.replaceTrack(track)
      // Negotiated, for the other would look at the last picture for ever.
      const transceiver = this.connection?.getTransceivers().find((one) => one.sender === sender)
      const direction = track === null ? 'recvonly' : 'sendrecv'
      if (transceiver !== undefined && transceiver.direction !== direction) transceiver.direction = direction
    } else if (this.connection !== undefined && this.connection.remoteDescription !== null) this.#addTracks(this.connection)
  }

  /** @param {Signal} signal */
  take (signal) {
    if (signal.type === 'offer' && this.connection === undefined) this.#make()
    this.#inTurn(async () => {
      if (signal.type === 'offer') await this.#onOffer(signal)
      else if (signal.type === 'answer') await this.#onAnswer(signal)
      else await this.#onCandidates(signal)
    })
  }

  /** @param {any} data @returns {Promise<string>} `direct` or `relay` */
  async send (data) {
    if (this.channel?.readyState === 'open') {
      this.channel.send(data)
      return 'direct'
    }
    if (this.step === 'data_relay') return await this.#relay(data)
    if (this.#queue.length >= mostQueued) throw new MuxiError('rate_limited', `too much waits for the connection to ${this.id}`)
    return await new Promise((resolve, reject) => { this.#queue.push({ data, done: resolve, fail: reject }) })
  }

  /** What the two found, as the browser tells. */
  async findRoute () {
    const stats = await this.connection?.getStats()
    if (stats === undefined) return undefined
    let pair
    for (const one of stats.values()) {
      if (one.type === 'transport' && one.selectedCandidatePairId) pair = stats.get(one.selectedCandidatePairId)
    }
    // Firefox marks the pair itself.
    for (const one of stats.values()) if (one.type === 'candidate-pair' && one.selected === true) pair ??= one
    const [local, remote] = [stats.get(pair?.localCandidateId), stats.get(pair?.remoteCandidateId)]
    return local === undefined || remote === undefined ? undefined : { local: local.candidateType, remote: remote.candidateType, protocol: local.protocol }
  }

  #make () {
    const connection = new RTCPeerConnection(this.#configuration())
    this.connection = connection
    /** What a connection that was let go of says is not heard. @param {(event: any) => void} handle */
    const current = (handle) => (/** @type {any} */ event) => { if (this.connection === connection) handle(event) }
    connection.onnegotiationneeded = current(() => { this.#inTurn(async () => { await this.#offer(connection) }) })
    connection.onicecandidate = current(({ candidate }) => { this.#onOwnCandidate(candidate) })
    connection.onconnectionstatechange = current(() => { void this.#onConnectionState(connection) })
    connection.ondatachannel = current(({ channel }) => {
      if (channel.protocol === fileProtocol) receiveFile(this, channel)
      else this.#attach(channel)
    })
    connection.ontrack = current(({ track }) => {
      for (const old of this.stream.getTracks()) if (old.kind === track.kind) this.stream.removeTrack(old)
      this.stream.addTrack(track)
      this.#room.tell('track', { peer: this, stream: this.stream })
    })
    return connection
  }

  #configuration () {
    const iceTransportPolicy = this.#room.options.relayOnly === true ? 'relay' : this.#policy ?? 'all'
    return /** @type {RTCConfiguration} */ ({ iceServers: this.#room.iceServers, iceTransportPolicy })
  }

  /** @param {RTCPeerConnection} connection */
  #addTracks (connection) {
    for (const track of Object.values(this.#room.tracks)) {
      if (track !== null && this.#senders[track.kind] === undefined) this.#senders[track.kind] = connection.addTrack(track, this.#room.stream)
    }
  }

  /** One thing after the other, and nothing for a connection that is no more. @param {(connection: RTCPeerConnection) => Promise<void>} step */
  #inTurn (step) {
    const connection = this.connection
    this.#turn = this.#turn.then(async () => {
      if (connection !== undefined && this.connection === connection) await step(connection)
    }).catch((error) => {
      if (this.connection === connection) this.#room.log(`negotiation with ${this.id}: ${error.message}`, error)
    })
  }

  /** @param {RTCPeerConnection} connection */
  async #offer (connection) {
    if (connection.signalingState !== 'stable') return
    await connection.setLocalDescription()
    if (connection.localDescription?.type !== 'offer') return
    const negotiation_id = nameFor('neg')
    this.#negotiation = negotiation_id
    const ice_restart = this.#restarts ? true : undefined
    this.#arm()
    this.#room.log(`offer to ${this.participant.user_id}${ice_restart ? ', ICE restart' : ''}`)
    try {
      await this.#room.signal('offer', { to: this.id, description: connection.localDescription.toJSON(), negotiation_id, ice_restart })
      this.#restarts = false
    } catch (error) {
      // The other's offer is on its way, and takes the place of this one.
      if (error instanceof MuxiError && error.details?.reason === 'glare') return
      if (this.connection !== connection || this.#room.ended) return
      this.#room.log(`offer to ${this.participant.user_id}: ${/** @type {Error} */ (error).message}`)
      // What it was for is still needed, so the browser asks for another offer.
      if (this.connection === connection && /** @type {string} */ (connection.signalingState) === 'have-local-offer') await connection.setLocalDescription({ type: 'rollback' })
      if (ice_restart) connection.restartIce()
    }
  }

  /** @param {Signal} signal */
  async #onOffer ({ signal_id, description, negotiation_id }) {
    let connection = /** @type {RTCPeerConnection} */ (this.connection)
    // Ours holds; the other gives way.
    if (connection.signalingState === 'have-local-offer' && !this.isInitiator) return
    try {
      await connection.setRemoteDescription(description)
    } catch (error) {
      // The other has another connection than this one was for.
      this.#room.log(`offer of ${this.id} does not fit: ${/** @type {Error} */ (error).message}`)
      this.reset()
      connection = this.#make()
      await connection.setRemoteDescription(description)
    }
    // Only now, so that they take the places that the offer has for them.
    this.#addTracks(connection)
    await connection.setLocalDescription()
    this.#negotiation = negotiation_id
    this.#arm()
    this.#room.log(`answer to ${this.participant.user_id}`)
    const answer = /** @type {RTCSessionDescription} */ (connection.localDescription).toJSON()
    await this.#room.signal('answer', { to: this.id, description: answer, in_reply_to: signal_id })
  }

  /** @param {Signal} signal */
  async #onAnswer ({ description, negotiation_id }) {
    if (this.connection?.signalingState !== 'have-local-offer' || negotiation_id !== this.#negotiation) return
    await this.connection.setRemoteDescription(description)
  }

  /** @param {Signal} signal */
  async #onCandidates ({ candidates = [] }) {
    for (const candidate of candidates) {
      // Those of an offer that did not hold fit nothing.
      await this.connection?.addIceCandidate(candidate).catch((error) => { this.#room.log(`candidate of ${this.id}: ${error.message}`) })
    }
  }

  /** Those that are found at about the same time go in one signal. @param {RTCIceCandidate | null} candidate */
  #onOwnCandidate (candidate) {
    this.#candidates.push(candidate?.toJSON() ?? null)
    if (candidate !== null) this.#found++
    else {
      // As where UDP is blocked and there is no TURN: time will not help.
      if (this.#found === 0) this.#arm(nothingFoundMs)
      this.#found = 0
    }
    this.#flushing ??= setTimeout(() => {
      this.#flushing = undefined
      const sdp = this.connection?.localDescription?.sdp ?? ''
      const all = this.#candidates.splice(0).filter((one) => !one?.usernameFragment || sdp.includes(`a=ice-ufrag:${one.usernameFragment}`))
      // By its fragment a candidate belongs to what is negotiated now, also where another offer has come meanwhile; older browsers do not tell it.
      const negotiation_id = all.some((one) => one !== null && !one.usernameFragment) ? this.#negotiation : undefined
      for (let i = 0; i < all.length; i += mostCandidates) {
        this.#room.signal('candidate', { to: this.id, candidates: all.slice(i, i + mostCandidates), negotiation_id })
          .catch((error) => { this.#room.log(`candidates for ${this.id}: ${error.message}`) })
      }
    }, batchMs)
  }

  /** @param {RTCPeerConnection} connection */
  async #onConnectionState (connection) {
    const { connectionState: state } = connection
    if (state === 'closed') return
    if (state === 'connected') {
      clearTimeout(this.#deadline)
      this.step = undefined
      this.route = await this.findRoute()
    }
    if (this.connection === connection && connection.connectionState === state) this.#report(state)
  }

  /** @param {State} state */
  #report (state) {
    this.#become(state)
    const route = state === 'connected' ? this.route : undefined
    this.#room.log(`${state} with ${this.participant.user_id}${route === undefined ? '' : ` (${route.local} to ${route.remote})`}`)
    this.#room.signal('state', { to: this.id, connection_state: state, route, negotiation_id: this.#negotiation })
      .catch((error) => { this.#room.log(`state for ${this.id}: ${error.message}`) })
  }

  /** A browser that finds no candidate at all waits for ever, and so does one whose offer was lost. */
  #arm (ms = this.#room.options.connectMs ?? 10_000) {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => {
      const connection = this.connection
      if (this.participant.state === 'reconnecting' || this.#room.state !== 'open') return this.#arm()
      if (connection?.connectionState !== 'connected') return this.#report('failed')
      if (connection.signalingState === 'have-local-offer') this.#inTurn(async () => { await connection.setLocalDescription({ type: 'rollback' }) })
    }, ms)
  }

  /** @param {RTCDataChannel} channel */
  #attach (channel) {
    this.channel = channel
    channel.binaryType = 'arraybuffer'
    channel.onmessage = ({ data }) => { this.#room.tell('message', { from: this.id, data, relayed: false }) }
    channel.onclose = () => { this.#changed() }
    channel.onopen = () => {
      this.#flush()
      this.#changed()
    }
    // Where the other has made it, it may be open by now.
    if (channel.readyState === 'open') this.#flush()
  }

  #flush () {
    for (const { data, done, fail } of this.#queue.splice(0)) this.send(data).then(done, fail)
  }

  /** @param {any} data */
  async #relay (data) {
    const body = typeof data === 'string' ? { data, encoding: 'text' } : { data: base64Of(data), encoding: 'base64' }
    for (let tries = 1; ; tries++) {
      try {
        await this.#room.signal('data', { to: this.id, ...body })
        return 'relay'
      } catch (error) {
        const reason = error instanceof MuxiError ? error.details?.reason : undefined
        if (tries === 5 || (reason !== 'not_listening' && reason !== 'not_in_fallback')) throw error
        // It is on its way back; or it has a connection by now, of which we hear any moment.
        await pauseOf(/** @type {MuxiError} */ (error))
        if (this.channel?.readyState === 'open') return await this.send(data)
      }
    }
  }

  /** @param {State} state */
  #become (state) {
    this.state = state
    this.#changed()
  }

  #changed () { this.#room.tell('peer', { peer: this }) }
}

/** Signaling over one socket: signals both ways. */
class SocketWay {
  transport = /** @type {const} */ ('socket')
  isOpen = false
  wasOpen = false
  /** @type {WebSocket | undefined} */ #socket
  /** @type {Map<string, { resolve: (value: any) => void, reject: (error: Error) => void }>} */ #waiting = new Map()
  /** @type {(ending: Ending) => void} */ #end = () => {}
  /** @type {any} */ #watch
  #heardAt = 0
  #count = 0

  /** @param {MuxiRoom} room */
  constructor (room) { this.room = room }

  /** Resolves when it is over. @param {{ onOpen: () => void, onEvent: (event: any) => void }} ears @returns {Promise<Ending>} */
  async run ({ onOpen, onEvent }) {
    const { options, membership } = this.room
    /** @type {Promise<Ending>} */
    const ended = new Promise((resolve) => { this.#end = resolve })
    let socket
    try {
      socket = await openSocket(options)
    } catch (error) {
      return { final: false, reason: /** @type {Error} */ (error).message }
    }
    this.#socket = socket
    /** @type {Ending | undefined} */ let told
    socket.onopen = () => { this.#write('rtc_subscribe', 'rtc', { ...membership, last_event_id: this.room.lastEventId }) }
    socket.onclose = ({ code, reason }) => {
      this.#close()
      this.#end(told ?? { final: code >= 4400 && code < 5000, reason: finalCodes[code] ?? `${code} ${reason}`.trim() })
    }
    socket.onmessage = ({ data: text }) => {
      this.#heardAt = Date.now()
      const { type, id, data, event_id } = JSON.parse(text)
      if (type === 'rtc_subscribed') {
        this.isOpen = this.wasOpen = true
        onOpen()
      } else if (type === 'rtc_receipt') this.#settle(id, data)
      else if (type === 'error' && id === 'rtc') {
        told = { final: finalReasons.includes(data.code), reason: data.code }
        socket.close(1000)
      } else if (type === 'error') this.#settle(id, undefined, new MuxiError(data.code, data.message, data.details))
      else if (type === 'rtc_end') {
        told = { final: finalReasons.includes(data.reason), reason: data.reason }
        socket.close(1000)
      } else if (type === 'going_away') told = { final: false, reason: data.reason, afterMs: data.reconnect_after_ms }
      else if (type !== 'pong') onEvent({ name: type, id: event_id, data })
    }
    // A page is not shown the pings of a socket, so it asks for itself whether the server is there.
    this.#heardAt = Date.now()
    this.#watch = setInterval(() => {
      if (Date.now() - this.#heardAt > 2 * pingMs) this.close()
      else if (socket.readyState === WebSocket.OPEN) this.#write('ping', 'ping', undefined)
    }, pingMs)
    return await ended
  }

  /** @param {string} type @param {object} body */
  async signal (type, body) {
    if (!this.isOpen) throw new Broken('the socket is closed')
    const id = `s${++this.#count}`
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      setTimeout(() => { this.#settle(id, undefined, new Broken('no receipt in time')) }, receiptMs)
      this.#write('rtc_signal', id, { type, ...body })
    })
  }

  close () {
    this.#socket?.close(1000)
    this.#close()
    this.#end({ final: false, reason: 'closed here' })
  }

  #close () {
    this.isOpen = false
    clearInterval(this.#watch)
    if (this.#socket !== undefined) this.#socket.onmessage = null
    for (const id of [...this.#waiting.keys()]) this.#settle(id, undefined, new Broken('the socket closed'))
  }

  /** @param {string} id @param {any} value @param {Error} [error] */
  #settle (id, value, error) {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(error)
  }

  /** @param {string} type @param {string} id @param {any} data */
  #write (type, id, data) { this.#socket?.send(JSON.stringify({ type, id, data })) }
}

/** Signaling without a socket: an event stream one way, requests the other. */
class StreamWay {
  transport = /** @type {const} */ ('sse')
  isOpen = false
  wasOpen = false
  #abort = new AbortController()
  /** @type {Promise<unknown>} */ #turn = Promise.resolve()

  /** @param {MuxiRoom} room */
  constructor (room) { this.room = room }

  /** @param {{ onOpen: () => void, onEvent: (event: any) => void }} ears @returns {Promise<Ending>} */
  async run ({ onOpen, onEvent }) {
    const { options, membership: { session_id, participant_id, participant_token }, lastEventId } = this.room
    const { signal } = this.#abort
    /** @type {number | undefined} */ let afterMs
    try {
      const headers = { ...await authorization(options), accept: 'text/event-stream', 'x-participant-token': participant_token, ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) }
      const res = await fetch(`${apiOf(options)}/rtc/sessions/${session_id}/events?participant_id=${participant_id}`, { headers, signal, cache: 'no-store' })
      if (!res.ok || res.body === null) {
        const { code, message } = await errorIn(res)
        return { final: finalReasons.includes(code), reason: finalReasons.includes(code) ? code : message }
      }
      this.isOpen = this.wasOpen = true
      onOpen()
      for await (const event of eventsOf(res.body, () => { this.close() })) {
        if (event.retry !== undefined) afterMs = event.retry
        if (event.data === undefined) continue
        const data = JSON.parse(event.data)
        if (event.name === 'end') return { final: finalReasons.includes(data.reason), reason: data.reason, afterMs }
        onEvent({ name: event.name, id: event.id, data })
      }
      return { final: false, reason: 'the stream broke off' }
    } catch (error) {
      return { final: false, reason: /** @type {Error} */ (error).message }
    } finally {
      this.close()
    }
  }

  /** One after the other: the order is part of what is said. @param {string} type @param {any} body */
  async signal (type, body) {
    const sent = this.#turn.then(async () => {
      const { options, membership: { participant_token: token } } = this.room
      const path = type === 'candidate' ? '/rtc/ice-candidate' : `/rtc/${type}`
      if (!this.isOpen) throw new Broken('the stream is closed')
      // A restart has to say for which state of the room it is: in one where much happens at once, for every state.
      const ifMatch = body.ice_restart === true ? '*' : undefined
      return await callRest(options, 'POST', path, { body, token, ifMatch, once: !isRepeatable(type) })
    })
    this.#turn = sent.catch(() => {})
    return await sent
  }

  close () {
    this.isOpen = false
    this.#abort.abort()
  }
}

/** Sends a file over a channel of its own: what it is, its bytes, their SHA-256. @param {Peer} peer @param {File} file */
async function sendFile (peer, file) {
  const { connection, room } = peer
  if (connection?.connectionState !== 'connected') throw new MuxiError('conflict', `files need a connection to ${peer.id}`)
  const { name, type, size } = file
  const channel = connection.createDataChannel(name.slice(0, 100), { protocol: fileProtocol })
  channel.bufferedAmountLowThreshold = fullBytes / 4
  const closed = new Promise((resolve, reject) => { channel.onclose = () => { reject(new Broken(`the connection to ${peer.id} broke`)) } })
  closed.catch(() => {})
  /** @param {(go: (value?: any) => void) => void} wait */
  const until = async (wait) => await Promise.race([closed, new Promise((resolve) => { wait(resolve) })])
  /** @type {Promise<any>} */
  const reply = until((go) => { channel.onmessage = ({ data }) => { go(JSON.parse(data)) } })
  reply.catch(() => {})
  let refused = false
  void reply.then(({ error }) => { refused = error !== undefined }, () => {})

  if (channel.readyState !== 'open') await until((go) => { channel.onopen = go })
  channel.send(JSON.stringify({ name, type, size }))
  const most = Math.min(chunkBytes, connection.sctp?.maxMessageSize ?? chunkBytes)
  for (let sent = 0; sent < size && !refused; sent += most) {
    // What is not sent yet is held in memory, and beyond some megabytes the browser closes the channel.
    if (channel.bufferedAmount > fullBytes) await until((go) => { channel.onbufferedamountlow = go })
    channel.send(await file.slice(sent, sent + most).arrayBuffer())
    room.tell('progress', { peer, name, size, sent: Math.min(size, sent + most), direction: 'out' })
  }
  if (!refused) channel.send(JSON.stringify({ sha256: await sha256Of(file) }))
  const { error } = await reply
  channel.onclose = null
  channel.close()
  if (error !== undefined) throw new MuxiError('bad_request', `${peer.id} did not take ${name}: ${error}`)
}

/** @param {Peer} peer @param {RTCDataChannel} channel */
function receiveFile (peer, channel) {
  const { room } = peer
  /** @type {{ name: string, type: string, size: number } | undefined} */ let head
  /** @type {ArrayBuffer[]} */ const chunks = []
  let received = 0
  channel.binaryType = 'arraybuffer'
  /** @param {string} error */
  const refuse = (error) => {
    channel.onmessage = null
    channel.send(JSON.stringify({ error }))
    room.log(`file of ${peer.id}: ${error}`)
  }
  channel.onmessage = async ({ data }) => {
    if (head === undefined) {
      const { name, type, size } = JSON.parse(data)
      if (!(size <= (room.options.maxFileBytes ?? 256 * 1024 * 1024))) return refuse('it is too large')
      // A name is no path.
      head = { name: String(name).replace(/[/\\\u0000-\u001f]/g, '_').slice(0, 200), type: String(type), size }
    } else if (typeof data !== 'string') {
      chunks.push(data)
      received += data.byteLength
      if (received > head.size) return refuse('it is larger than it said')
      room.tell('progress', { peer, name: head.name, size: head.size, received, direction: 'in' })
    } else {
      const blob = new Blob(chunks, { type: head.type })
      const sha256 = await sha256Of(blob)
      const { sha256: told } = JSON.parse(data)
      const checked = sha256 !== undefined && told !== undefined
      if (received !== head.size || (checked && told !== sha256)) return refuse('it was damaged on the way')
      channel.send(JSON.stringify({ ok: true }))
      room.tell('file', { from: peer.id, name: head.name, type: head.type, blob, sha256, checked })
    }
  }
}

/** @param {Options} options */
async function openSocket (options) {
  const url = `${apiOf(options)}/ws`.replace(/^http/, 'ws')
  const key = await keyOf(options)
  // What a subprotocol may be is narrower than what a key may be.
  if (/^[\w.~+-]+$/.test(key)) return new WebSocket(url, ['muxi.v1', `bearer.${key}`])
  const { ticket } = await callRest(options, 'POST', '/stream-tickets', {})
  return new WebSocket(`${url}?ticket=${encodeURIComponent(ticket)}`, ['muxi.v1'])
}

/**
 * One call of the REST API. What breaks on the way is tried again, unless `once`; with one key of idempotency who joins joins once.
 * @param {Options} options @param {string} method @param {string} path
 * @param {{ body?: object, token?: string, ifMatch?: string, keepalive?: boolean, once?: boolean }} [how]
 */
async function callRest (options, method, path, { body, token, ifMatch, keepalive, once = false } = {}) {
  const headers = {
    ...await authorization(options),
    ...(token !== undefined && { 'x-participant-token': token }),
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...(ifMatch !== undefined && { 'if-match': ifMatch }),
    ...(method === 'POST' && token === undefined && { 'idempotency-key': nameFor('call') })
  }
  for (let tries = once ? 4 : 1; ; tries++) {
    const res = await fetch(apiOf(options) + path, { method, headers, keepalive, ...(body !== undefined && { body: JSON.stringify(body) }) }).catch((error) => {
      if (tries === 4) throw new Broken(error.message)
    })
    if (res?.ok) return await res.json()
    if (res !== undefined && (tries === 4 || ![502, 503, 504].includes(res.status))) throw await errorIn(res)
    await new Promise((resolve) => { setTimeout(resolve, Math.random() * 300 * 2 ** tries) })
  }
}

/** The events of a stream (WHATWG HTML, section 9.2.6). @param {ReadableStream<Uint8Array<ArrayBuffer>>} body @param {() => void} onSilence */
async function * eventsOf (body, onSilence) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (true) {
    // A comment comes after each 15 s of silence: longer than this, and the connection is dead.
    const timer = setTimeout(onSilence, silenceMs)
    const { done, value } = await reader.read().finally(() => { clearTimeout(timer) })
    if (done) return
    text += value
    const blocks = text.split(/\r?\n\r?\n/)
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      /** @type {{ name: string, id?: string, data?: string, retry?: number }} */
      const event = { name: 'message' }
      for (const line of block.split(/\r?\n/)) {
        const [, field, content = ''] = /^([a-z]+)(?:: ?(.*))?$/.exec(line) ?? []
        if (field === 'data') event.data = event.data === undefined ? content : `${event.data}\n${content}`
        else if (field === 'event') event.name = content
        else if (field === 'id') event.id = content
        else if (field === 'retry') event.retry = Number(content)
      }
      yield event
    }
  }
}

/** @param {Response} res */
async function errorIn (res) {
  const { error } = await res.json().catch(() => ({}))
  return new MuxiError(error?.code ?? 'internal_error', error?.message ?? `the server answered ${res.status}`, { ...error?.details, retry_after: Number(res.headers.get('retry-after') ?? error?.details?.retry_after ?? 1) })
}

/** @param {MuxiError} error */
async function pauseOf ({ details }) {
  await new Promise((resolve) => { setTimeout(resolve, 1_000 * (details?.retry_after ?? 1) * (1 + Math.random() / 4)) })
}

/** @param {Options} options */
const apiOf = ({ server }) => `${server.replace(/\/+$/, '')}/api/v1`
/** @param {Options} options */
const keyOf = async ({ key }) => typeof key === 'function' ? await key() : key
/** @param {Options} options */
const authorization = async (options) => ({ authorization: `Bearer ${await keyOf(options)}` })
/** @param {Options} options */
const storageOf = ({ storage }) => storage === undefined ? globalThis.sessionStorage : storage

/** @param {Options} options @param {string} id @returns {Membership | undefined} */
function keptIn (options, id) {
  const text = storageOf(options)?.getItem(`muxi-rtc:${id}`)
  return text ? JSON.parse(text) : undefined
}

/** @param {any[]} servers @returns {RTCIceServer[]} */
const serversIn = (servers) => servers.map(({ urls, username, credential }) => ({ urls, ...(username !== undefined && { username, credential }) }))

/** @param {string} what */
function nameFor (what) {
  return `${what}_${[...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`
}

/** undefined where the page has no https: there is no `crypto.subtle` then. @param {Blob} blob */
async function sha256Of (blob) {
  if (globalThis.crypto.subtle === undefined) return undefined
  return [...new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** @param {ArrayBuffer | ArrayBufferView} data */
function base64Of (data) {
  const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

/** @param {string} text */
function bytesOf (text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
}
