import { CoreError, seconds } from './envelope.ts'
import { route, type Route } from './router.ts'

/** A chat as the Core tracks it. */
export interface ChatRequest {
  request_id: string
  user_id: string
  session_id?: string
  status: 'processing' | 'completed' | 'cancelled' | 'failed'
  progress: string
  created_at: number
  completed_at?: number
  result?: string
}

const forgottenAfter = 300

/** The chats that run or have just ended, and the means to stop those that have not begun to answer. */
export class Requests {
  readonly byId = new Map<string, ChatRequest>()
  readonly #stops = new Map<ChatRequest, AbortController>()

  /** Tracks a new chat; the signal aborts when somebody asks for its end before the answer begins. */
  start (ids: Pick<ChatRequest, 'request_id' | 'user_id' | 'session_id'>): { request: ChatRequest, stopped: AbortSignal } {
    this.#forget()
    const request: ChatRequest = { ...ids, status: 'processing', progress: 'Request received', created_at: seconds() }
    const stop = new AbortController()
    this.byId.set(request.request_id, request)
    this.#stops.set(request, stop)
    return { request, stopped: stop.signal }
  }

  /** From here on a cancellation is taken and has no effect, as with the real Core. */
  answers (request: ChatRequest): void {
    request.progress = 'Generating response'
    this.#stops.delete(request)
  }

  /** Ends a chat, unless it has ended already. */
  end (request: ChatRequest, status: Exclude<ChatRequest['status'], 'processing'>, result?: string): void {
    if (request.status !== 'processing') return
    Object.assign(request, { status, progress: status, completed_at: seconds(), result })
    this.#stops.delete(request)
  }

  cancel (request: ChatRequest): void {
    if (request.status !== 'processing') throw new CoreError(400, 'OPERATION_FAILED', `Request is already ${request.status}`)
    this.#stops.get(request)?.abort()
  }

  #forget (): void {
    const limit = seconds() - forgottenAfter
    for (const [id, { completed_at: ended = Infinity }] of this.byId) {
      // in the order of their start, so a long chat holds back the forgetting of those behind it
      if (ended > limit) return
      this.byId.delete(id)
    }
  }
}

/** Listing, reading and cancelling chats. */
export function requestRoutes ({ requests }: { requests: Requests }): Route[] {
  const one = ({ params, user, isAdmin }: { params: Record<string, string>, user: string | undefined, isAdmin: boolean }) => {
    const request = requests.byId.get(params.id ?? '')
    if (!request) throw new CoreError(404, 'REQUEST_NOT_FOUND', 'Request not found')
    if (!isAdmin && request.user_id !== user) throw new CoreError(403, 'FORBIDDEN', 'this request is of another user')
    return request
  }

  return [
    route({
      method: 'GET',
      path: '/v1/requests',
      level: 'either',
      user: 'client',
      summary: 'List the chats that run or have just ended',
      handle: ({ user, isAdmin }) => {
        const own = [...requests.byId.values()].filter(({ user_id: of }) => isAdmin ? user === undefined || of === user : of === user)
        return { object: 'list', type: 'request.list', data: { requests: own, count: own.length } }
      }
    }),
    route({
      method: 'GET',
      path: '/v1/requests/{id}',
      level: 'either',
      user: 'client',
      summary: 'Read the state of a chat',
      handle: (input) => ({ object: 'request', type: 'request.retrieved', data: one(input) })
    }),
    route({
      method: 'DELETE',
      path: '/v1/requests/{id}',
      level: 'either',
      user: 'client',
      summary: 'Ask a chat to stop',
      handle: (input) => {
        const request = one(input)
        requests.cancel(request)
        return { object: 'request', type: 'request.cancelled', data: { request_id: request.request_id, cancellation: 'cooperative' } }
      }
    })
  ]
}
