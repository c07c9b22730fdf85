import type { Dispatcher, Pool } from 'undici'
import { ApiError } from '../errors.ts'
import type { Leaving } from './departure.ts'
import type { Answer } from './envelope.ts'

/** One request to the Core; `path` is the whole one. */
export interface Exchange { method: Dispatcher.HttpMethod, path: string, headers: Record<string, string>, body?: string, signal?: Leaving | undefined }

/** Bytes of an answer at most, ms that it may take, and those that are left of them. */
interface Bounds { most: number, timeout: number, left: number }

/** One request, read in full. undici's dispatch without its stream of the body: half the cost of `request` for small answers. */
export function exchange (pool: Pool, { method, path, headers, body, signal }: Exchange, { most, timeout, left }: Bounds): Promise<Answer> {
  return new Promise<Answer>((resolve, reject) => {
    let control: Dispatcher.DispatchController | undefined
    let stopped: Error | undefined
    const stop = (reason: Error) => {
      stopped = reason
      settled()
      reject(reason)
      control?.abort(reason)
    }
    const timer = setTimeout(() => { stop(new ApiError('core_timeout', `the MUXI Core did not answer within ${timeout} ms`)) }, left)
    const onAbort = () => { stop(signal?.reason as Error) }
    const settled = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    if (signal?.aborted) {
      onAbort()
      return
    }
    signal?.addEventListener('abort', onAbort)

    const answer: Answer = { status: 0, headers: {}, text: '' }
    const chunks: Buffer[] = []
    let size = 0
    pool.dispatch({ method, path, headers, body, headersTimeout: 0, bodyTimeout: 0 }, {
      onRequestStart (controller) {
        control = controller
        // Nobody waits any more: what stood in the queue is not sent.
        if (stopped !== undefined) controller.abort(stopped)
      },
      onResponseStart (controller, status, responseHeaders) {
        answer.status = status
        answer.headers = responseHeaders
      },
      onResponseData (controller, chunk) {
        size += chunk.length
        if (size > most) stop(new ApiError('core_error', 'the MUXI Core sent an answer that is too large'))
        else chunks.push(chunk)
      },
      onResponseEnd () {
        settled()
        answer.text = chunks.length === 1 ? chunks[0]!.toString() : Buffer.concat(chunks).toString()
        resolve(answer)
      },
      onResponseError (controller, error) {
        settled()
        reject(error)
      }
    })
  })
}

/** The beginning of a body, for an answer that is no stream. */
export async function limited (body: AsyncIterable<Uint8Array>, most: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    chunks.push(chunk)
    if (size > most) break
  }
  return Buffer.concat(chunks).toString()
}
