import type { FastifyReply, FastifyRequest } from 'fastify'

export interface Frame { id?: string, event?: string, data?: string, retry?: number }

interface Options { end: AbortController, first?: Frame, last?: Frame, lifeMs?: number, own?: Record<string, string> }

const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' }
const encoder = new TextEncoder()

/**
 * A response of server-sent events that is told of, and can be closed, like every other stream. `undefined` from the source is a sign of life.
 * `first` goes out with the headers, and `last` when this instance stops, or the stream has lived for `lifeMs` (± 20 %, so that not all come back at once).
 */
export function respond (request: FastifyRequest, reply: FastifyReply, source: AsyncGenerator<Frame | undefined>, { end, first, last, lifeMs = 0, own }: Options): Response {
  const sent = { events: 0, bytes: 0 }
  const close = (reason: 'shutdown' | 'closed') => {
    // What answers a request runs to its end.
    if (reason === 'shutdown' && last === undefined) return
    farewell = last
    end.abort()
  }
  let farewell: Frame | undefined
  const handle = request.server.connections.add(request, { kind: 'mcp', look: () => ({ ...sent }), end: close })
  const letGo = request.whileAllowed(() => { end.abort() })
  const life = lifeMs > 0 ? setTimeout(close, lifeMs * (0.8 + Math.random() * 0.4), 'closed') : undefined
  const finish = () => {
    clearTimeout(life)
    end.abort()
    letGo()
    handle.remove()
  }
  reply.raw.once('close', finish)
  const write = (controller: ReadableStreamDefaultController<Uint8Array>, frame: Frame | undefined) => {
    const bytes = encoder.encode(frame === undefined ? ': ping\n\n' : textOf(frame))
    if (frame !== undefined) sent.events++
    sent.bytes += bytes.length
    controller.enqueue(bytes)
  }
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => { write(controller, first) },
    pull: async (controller) => {
      const { value, done } = await source.next().catch((error: unknown) => {
        // Its client comes back and asks for the rest.
        request.log.warn({ err: error }, 'a stream of an MCP session has broken off')
        return { value: undefined, done: true }
      })
      if (done !== true) {
        write(controller, value)
        return
      }
      if (farewell !== undefined) write(controller, farewell)
      finish()
      controller.close()
    },
    cancel: finish
  })
  return new Response(body, { headers: { ...headers, ...own } })
}

function textOf ({ id, event, data, retry }: Frame): string {
  return [
    id !== undefined && `id: ${id}\n`,
    event !== undefined && `event: ${event}\n`,
    retry !== undefined && `retry: ${retry}\n`,
    data !== undefined && `data: ${data}\n`,
    '\n'
  ].filter(Boolean).join('')
}
