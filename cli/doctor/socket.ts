import { randomBytes } from 'node:crypto'
import { type Check, check, ok, warning } from './check.ts'
import { errorIn, refusalOf, visit, type Answer, type Place } from './visit.ts'

/** Whether a socket could be opened through whatever is in between. */
export async function checkSocket (place: Place, key: string | undefined): Promise<Check> {
  return await check('socket', 'socket upgrade', async () => {
    const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': randomBytes(16).toString('base64'), ...(key !== undefined && { authorization: `Bearer ${key}` }) }
    const remedy = 'let the proxy pass Connection and Upgrade on, over HTTP/1.1'
    let answer: Answer
    try {
      answer = await visit(place, '/api/v1/ws', { headers })
    } catch {
      return warning('the connection is closed without an answer', remedy)
    }
    if (answer.status === 101) return ok('opens')
    const error = errorIn(answer)
    if (error?.code === 'upgrade_required') return warning('the request arrives without its Upgrade', remedy)
    if (error?.code === 'not_found') return ok('the request arrives; not offered by that version')
    return error === undefined ? warning(refusalOf(answer), remedy) : ok(`the request arrives (${answer.status} ${error.code})`)
  })
}
