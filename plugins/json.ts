import fp from 'fastify-plugin'
import { ApiError } from '../errors.ts'

/** Beyond this a body is looked at before it is parsed, and may have as much outside of its strings. */
const plain = 65_536
const mostEscapes = 262_144
const backslash = 0x5c

/**
 * Reads JSON bodies. What is long must be long because of its texts (files, above all), which cost next to nothing to parse:
 * 16 MiB of brackets would hold up every other request for seconds and take a gigabyte.
 */
export default fp(async (app) => {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = body as string // as asked for
    const { 'content-encoding': encoding = 'identity' } = request.headers
    if (encoding !== 'identity') done(new ApiError('unsupported_media_type', 'send the body without Content-Encoding'))
    else if (text.length > plain && !isMostlyText(text)) done(new ApiError('bad_request', 'a body of more than 64 KiB may have 64 KiB outside of its strings and 256 KiB of escaped quotes'))
    else parse(request, text, done)
  })
}, { name: 'json' })

/** Goes from quote to quote, which the engine finds faster than any loop. Every value needs a character outside of the strings. */
export function isMostlyText (text: string): boolean {
  let outside = 0
  let escapes = 0
  for (let at = 0; ;) {
    const begin = text.indexOf('"', at)
    outside += (begin < 0 ? text.length : begin) - at
    if (outside > plain) return false
    if (begin < 0) return true
    for (at = begin; ;) {
      at = text.indexOf('"', at + 1)
      // A string without an end: the parser says so.
      if (at < 0) return true
      const before = backslashes(text, at)
      if (before % 2 === 0) break
      escapes += before + 1
      if (escapes > mostEscapes) return false
    }
    at++
  }
}

function backslashes (text: string, end: number): number {
  let begin = end
  while (text.charCodeAt(begin - 1) === backslash) begin--
  return end - begin
}
