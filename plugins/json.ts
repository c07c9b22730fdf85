import fp from 'fastify-plugin'
import { ApiError } from '../errors.ts'
import { otlpJsonBytes } from '../schemas/otlp.ts'

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
    else if (request.routeOptions.config.otlp !== undefined) {
      // Telemetry is structure: it has a bound of its own.
      if (text.length > otlpJsonBytes) done(new ApiError('payload_too_large', 'JSON may have 2 MiB here: send smaller batches'))
      else parse(request, text, done)
    } else if (text.length > plain && !isMostlyText(text)) done(new ApiError('bad_request', 'a body of more than 64 KiB may have 64 KiB outside of its strings and 256 Ki escapes in them'))
    else parse(request, text, done)
  })
}, { name: 'json' })

/** Goes from mark to mark, which the engine finds faster than any loop. Every value needs a character outside of the strings; escapes are what is slow to parse inside of them. */
export function isMostlyText (text: string): boolean {
  let escapes = 0
  for (let at = text.indexOf('\\'); at >= 0; at = text.indexOf('\\', at + 2)) if (++escapes > mostEscapes) return false
  let outside = 0
  for (let at = 0; ;) {
    const begin = text.indexOf('"', at)
    outside += (begin < 0 ? text.length : begin) - at
    if (outside > plain) return false
    if (begin < 0) return true
    at = begin
    do at = text.indexOf('"', at + 1)
    while (at >= 0 && isEscaped(text, at))
    // A string without an end: the parser says so.
    if (at < 0) return true
    at++
  }
}

function isEscaped (text: string, end: number): boolean {
  let begin = end
  while (text.charCodeAt(begin - 1) === backslash) begin--
  return (end - begin) % 2 === 1
}
