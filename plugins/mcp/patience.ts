import type { FastifyReply, FastifyRequest } from 'fastify'

/** What is not answered by then is answered over a stream that is kept open. */
const promptMs = 1_000
/** Shorter than proxies wait for the next byte. */
const keepAliveMs = 10_000
const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' }
const encoder = new TextEncoder()
const comment = encoder.encode(': keepalive\n\n')

/**
 * Hands an answer on as it is where it comes at once; otherwise opens a stream, with comments while nothing comes and the answer as its event
 * (MCP 2026-07-28, Streamable HTTP: a server may answer either way). Whoever accepts no stream waits.
 */
export async function keptOpen (request: FastifyRequest, reply: FastifyReply, answer: Promise<Response | string>): Promise<Response | string> {
  if (request.headers.accept?.includes('text/event-stream') !== true) return await answer
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => { timer = setTimeout(resolve, promptMs, undefined) })
  const prompt = await Promise.race([answer, late]).finally(() => { clearTimeout(timer) })
  if (prompt !== undefined) return prompt
  // A call that outlives its key ends as if its caller had left.
  reply.raw.once('close', request.whileAllowed(() => { request.departure.leave() }))
  reply.removeHeader('content-type')
  const body = new ReadableStream<Uint8Array>({
    start: async (controller) => {
      controller.enqueue(comment)
      const heart = setInterval(() => { controller.enqueue(comment) }, keepAliveMs)
      try {
        const found = await answer
        clearInterval(heart)
        await hand(found, controller)
        controller.close()
      } catch (error) {
        clearInterval(heart)
        controller.error(error)
      }
    }
  })
  return new Response(body, { headers })
}

async function hand (answer: Response | string, controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
  if (typeof answer !== 'string' && answer.headers.get('content-type')?.startsWith('text/event-stream') === true) {
    for await (const chunk of answer.body!) controller.enqueue(chunk)
    return
  }
  const json = typeof answer === 'string' ? answer : await answer.text()
  controller.enqueue(encoder.encode(`event: message\ndata: ${json}\n\n`))
}
