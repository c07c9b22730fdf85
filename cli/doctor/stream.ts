import { type Check, check, failed, type Finding, ok, warning } from './check.ts'
import { refusalOf, Silence, visit, type Answer, type Place } from './visit.ts'

/** The server says message_start after a second at the latest; the rest is for the way. */
const firstMs = 1_500
/** What came within this time came at once. */
const onceMs = 50
/** An agent that says many words takes longer than this; quicker ones may have had all at hand. */
const slowMs = 700
const remedy = 'let the proxy pass event streams on as they come (nginx: proxy_buffering off), and not compress them'

const silent = warning('no event within 5 s: the proxy buffers event streams, or the MUXI Core does not begin to answer', `${remedy}; without a proxy see how fast the Core answers`)

/** Asks an agent something: when the first event comes, and whether the others come one by one. */
export async function checkStream (place: Place, key: string | undefined, say: string): Promise<Check> {
  return await check('stream', 'event stream', async () => {
    if (key === undefined) return warning('not checked: no key of a user', 'set MUXI_API_DOCTOR_KEY (or --key), or core.client_key')
    const ask = async (body: object) => await visit(place, '/api/v1/chat/stream', {
      method: 'POST', headers: { authorization: `Bearer ${key}`, accept: 'text/event-stream', 'accept-encoding': 'gzip' }, body: { content: say, ...body }
    })
    let answer: Answer
    try {
      answer = await ask({ user_id: 'doctor' })
      // A key that is bound to a user speaks for that one alone.
      if (answer.status === 403) answer = await ask({})
    } catch (error) {
      if (error instanceof Silence) return silent
      throw error
    }
    if (answer.status === 401 || answer.status === 403) return failed(refusalOf(answer), 'give the key of a user: MUXI_API_DOCTOR_KEY or --key')
    if (answer.status !== 200) return failed(refusalOf(answer), 'see the lines of the MUXI Core and the log of the server')
    return judgeStream(answer)
  })
}

/** What the times of the pieces tell. */
export function judgeStream ({ headers, pieces, text, ended }: Pick<Answer, 'headers' | 'pieces' | 'text' | 'ended'>): Finding {
  const type = headers['content-type'] ?? 'nothing'
  if (!type.startsWith('text/event-stream')) return warning(`what comes is ${type}, no event stream`, 'the proxy must pass answers on unchanged')
  if (headers['content-encoding'] !== undefined) return warning(`event streams are compressed (${headers['content-encoding']}), and so wait for more`, remedy)
  const [first, last] = [pieces[0]?.at, pieces.at(-1)?.at]
  if (first === undefined || last === undefined) return silent
  const spread = last - first
  const words = text.match(/^event: content$/gm)?.length ?? 0
  const when = `the first event after ${Math.round(first)} ms`
  // Words that took their time and still came together were kept somewhere.
  if (spread < onceMs && (first > firstMs || (words >= 5 && first > slowMs))) return warning(`${when}, and all ${words} pieces with it: the proxy buffers event streams`, remedy)
  if (/^event: error$/m.test(text)) return failed(`${when}, but the agent failed`, 'see the log of the server and of the Core')
  if (first > firstMs) return warning(`${when}, then one by one: late`, 'see how fast the MUXI Core answers, and what the proxy waits for')
  if (!ended) return ok(`${when}, ${words} pieces one by one within 5 s`)
  return spread < onceMs ? ok(`${when}, and the end with it: too quick to tell whether a proxy buffers`) : ok(`${when}, ${words} pieces one by one until ${Math.round(last)} ms`)
}
