import { isInputRequiredResult, ProtocolError, type CallToolResult, type ClientCapabilities, type InputRequiredResult, type RequestStateCodec, type ServerContext } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import { Departure } from '../../../core/departure.ts'
import { replaceKey } from '../chat-call.ts'

type CallResult = CallToolResult | InputRequiredResult
/** Calls the tool; undefined where its caller has none of that name. */
export type Call = (request: FastifyRequest, context: ServerContext) => Promise<CallResult | undefined>
type Notify = ServerContext['mcpReq']['notify']
type Params = { message?: string, _meta?: Record<string, unknown> } | undefined

/** What a tool that asks needs a client to be able to. */
const abilities: Record<string, keyof ClientCapabilities> = { 'elicitation/create': 'elicitation', 'sampling/createMessage': 'sampling', 'roots/list': 'roots' }
const mostMessage = 200
/** In the place of the token of a client that has asked for no progress: the task tells of it. */
const ownToken = 'task'

/** The call of a tool that may outlive the request that it came with. */
export class Run {
  /** Hears how far the call is, once it is a task: the last message, and how many characters there were of all. */
  onProgress = (_message: string, _written: number): void => {}
  readonly #request: FastifyRequest
  readonly #context: ServerContext
  readonly #call: Call
  readonly #verify: RequestStateCodec['verify']
  readonly #until = new Departure()
  readonly #over = new AbortController()
  readonly #hold: () => void
  #isOwn = false
  #written = 0
  #rounds = 0
  #state: string | undefined

  constructor (request: FastifyRequest, context: ServerContext, call: Call, verify: RequestStateCodec['verify']) {
    this.#context = context
    this.#call = call
    this.#verify = verify
    // The same caller, whose leaving is another.
    this.#request = Object.create(request, { departure: { value: this.#until }, ip: { value: request.ip } }) as FastifyRequest
    const leave = () => { this.end() }
    const { departure } = request
    const { signal } = context.mcpReq
    departure.addEventListener('abort', leave)
    signal.addEventListener('abort', leave)
    this.#hold = () => {
      departure.removeEventListener('abort', leave)
      signal.removeEventListener('abort', leave)
    }
    if (departure.aborted || signal.aborted) leave()
  }

  /** Begins; with answers of its client, where the tool has asked something before. */
  async start (answers?: Record<string, unknown>): Promise<CallResult | undefined> {
    const { mcpReq } = this.#context
    const state = this.#state === undefined ? undefined : await this.#verify(this.#state, this.#context)
    const own: ServerContext['mcpReq'] = {
      ...mcpReq,
      signal: this.#over.signal,
      _meta: { ...mcpReq._meta, progressToken: mcpReq._meta?.progressToken ?? ownToken },
      notify: async (notification) => { await this.#hear(notification) },
      ...(answers !== undefined && { inputResponses: this.#ofRound(answers) as NonNullable<typeof mcpReq.inputResponses>, requestState: (() => state) as typeof mcpReq.requestState })
    }
    return await this.#call(this.#request, { ...this.#context, mcpReq: own })
  }

  /** From here on the leaving of its request is no reason to end. */
  letGo (): void {
    this.#isOwn = true
    this.#hold()
  }

  /** Ends the call at the Core, too. */
  end (): void {
    this.#over.abort()
    this.#until.leave()
  }

  /** What a tool asks, under keys that are new in every round (MCP tasks extension, Task Update Requests). Throws where the client cannot be asked that. */
  questionsOf ({ inputRequests = {}, requestState }: InputRequiredResult, can: ClientCapabilities): Record<string, unknown> {
    const missing = Object.values(inputRequests).map(({ method }) => abilities[method]).find((ability) => ability !== undefined && can[ability] === undefined)
    if (missing !== undefined) throw new ProtocolError(-32_021, `the client of this task cannot be asked (${missing}): call the tool without a task`, { requiredCapabilities: { [missing]: {} } })
    this.#state = requestState
    this.#rounds++
    return Object.fromEntries(Object.entries(inputRequests).map(([name, asked]) => [`${this.#rounds}.${name}`, asked]))
  }

  #ofRound (answers: Record<string, unknown>): Record<string, unknown> {
    const prefix = `${this.#rounds}.`
    return Object.fromEntries(Object.entries(answers).filter(([key]) => key.startsWith(prefix)).map(([key, answer]) => [key.slice(prefix.length), answer]))
  }

  async #hear (notification: Parameters<Notify>[0]): Promise<void> {
    const isProgress = notification.method === 'notifications/progress'
    const { message, _meta } = (isProgress ? notification.params : undefined) as Params ?? {}
    if (message !== undefined) this.#written = _meta?.[replaceKey] === true ? message.length : this.#written + message.length
    if (!this.#isOwn) {
      if (!isProgress || this.#context.mcpReq._meta?.progressToken !== undefined) await this.#context.mcpReq.notify(notification)
    } else if (message !== undefined) this.onProgress(message.slice(0, mostMessage), this.#written)
  }
}

export const asks = (result: CallResult | undefined): result is InputRequiredResult => result !== undefined && isInputRequiredResult(result)
