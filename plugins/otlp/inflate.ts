import { Transform, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { ApiError } from '../../errors.ts'

/** What a gzip body is, inflated as it comes. It ends with a failure when it is more than `most` bytes, when it is no gzip, and when its source fails. */
export function inflate (source: Readable, most: number): Readable {
  const gunzip = createGunzip()
  let received = 0
  let length = 0
  const bounded = new Transform({
    transform (chunk: Buffer, _, done) {
      length += chunk.length
      done(length > most ? tooLarge(most) : null, chunk)
    },
    destroy (err, done) {
      // The source stays whole: an answer has to leave through its connection.
      source.unpipe(gunzip)
      gunzip.destroy()
      done(err)
    }
  })
  // Fastify compares it with Content-Length.
  Object.defineProperty(bounded, 'receivedEncodedLength', { get: () => received })
  source.on('data', (chunk: Buffer) => { received += chunk.length })
  source.once('error', (err) => { bounded.destroy(err) })
  source.once('close', () => { if (!source.readableEnded) bounded.destroy(new ApiError('bad_request', 'the body ended early')) })
  gunzip.once('error', () => { bounded.destroy(new ApiError('bad_request', 'the body is not the gzip that Content-Encoding says it is')) })
  source.pipe(gunzip).pipe(bounded)
  return bounded
}

/** Says how much a body may be. */
function tooLarge (most: number): ApiError {
  return new ApiError('payload_too_large', `a body of this type may have ${most / 1_048_576} MiB, inflated: send smaller batches`)
}
