import { createParser, type EventSourceMessage } from 'eventsource-parser'

/** What a stream said: an event with or without an id, or an id alone, which moves the client on without an event. */
export interface Block { id?: string | undefined, event?: EventSourceMessage | undefined, retry?: number | undefined }

/** Cuts a stream into blocks. What is not whole yet is kept for later, and gone if the stream ends there (WHATWG HTML, section 9.2.6). */
export function createBlocks (onBlock: (block: Block) => void): (text: string) => void {
  let rest = ''
  let block: Block = {}
  // The package hides ids that come without data; what it hides is read here from the lines.
  const parser = createParser({
    onEvent: (event) => { block.event = event },
    onRetry: (retry) => { block.retry = retry },
    onError: (error) => { throw error }
  })
  return (text) => {
    rest += text
    for (let end = rest.indexOf('\n\n'); end !== -1; end = rest.indexOf('\n\n')) {
      const whole = rest.slice(0, end + 2)
      rest = rest.slice(end + 2)
      block = { id: /^id: ?(.*)$/m.exec(whole)?.[1] }
      parser.feed(whole)
      onBlock(block)
    }
  }
}
