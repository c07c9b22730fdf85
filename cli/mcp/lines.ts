import type { Readable, Writable } from 'node:stream'

/** Bytes of one message at most: as much as the server takes, and more than enough beside. */
const most = 33_554_432

/** The lines of a stream; undefined for one that is too long. Not by node:readline, which ends a line at U+2028, too, and that may stand in JSON. */
export async function * linesIn (input: Readable): AsyncGenerator<string | undefined, void, undefined> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of input as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      size += end - from
      parts.push(chunk.subarray(from, end))
      from = end + 1
      const line = size > most ? undefined : Buffer.concat(parts).toString()
      parts = []
      size = 0
      if (line === undefined || line.trim() !== '') yield line
    }
    size += chunk.length - from
    if (size <= most) parts.push(chunk.subarray(from))
    else parts = []
  }
  // A host that dies in the middle of a line has not said it; one that forgets the last end of a line has.
  if (size > most) yield undefined
  else if (parts.length > 0 && Buffer.concat(parts).toString().trim() !== '') yield Buffer.concat(parts).toString()
}

/** Writes lines one after the other; resolves when the reader takes more. */
export function writerTo (output: Writable): (text: string) => Promise<void> {
  return async (text) => {
    // Between the members of JSON a line's end is a blank; inside of a string there is none.
    if (output.write(`${/[\r\n]/.test(text) ? text.replaceAll(/[\r\n]+/g, ' ') : text}\n`) || output.destroyed) return
    await new Promise<void>((resolve) => {
      const done = () => {
        output.off('drain', done).off('close', done).off('error', done)
        resolve()
      }
      output.once('drain', done).once('close', done).once('error', done)
    })
  }
}
