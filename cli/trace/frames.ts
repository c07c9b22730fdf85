import { StringDecoder } from 'node:string_decoder'

/** A block of a stream of server-sent events, with whatever it holds: also an id alone counts, which parsers of events keep to themselves. */
export interface Frame { id?: string, event?: string, data?: string, retry?: number }

/** Characters of one block at most. */
const most = 4_194_304

/** The blocks of a stream (WHATWG HTML, section 9.2.6), in order. One that is not ended when the stream breaks off does not count. */
export async function * framesIn (body: AsyncIterable<Uint8Array>): AsyncGenerator<Frame, void, undefined> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let frame: Frame = {}
  let size = 0
  for await (const chunk of body) {
    // A carriage return at the end may be half of a line's end.
    const lines = (rest + decoder.write(Buffer.from(chunk))).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop()!
    for (const line of lines) {
      size += line.length
      if (line !== '') take(frame, line)
      else {
        if (Object.keys(frame).length > 0) yield frame
        frame = {}
        size = 0
      }
    }
    if (size + rest.length > most) throw new Error('the server sent an event that is too large')
  }
}

function take (frame: Frame, line: string): void {
  const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? []
  if (field === 'data') frame.data = frame.data === undefined ? value : `${frame.data}\n${value}`
  else if (field === 'event') frame.event = value
  else if (field === 'id' && !value.includes('\0')) frame.id = value
  else if (field === 'retry' && /^\d+$/.test(value)) frame.retry = Number(value)
}
