import { connect } from 'node:tls'
import type { Config } from '../../config.ts'
import { isLoopback } from '../addresses.ts'
import { type Check, check, failed, type Finding, ok, patienceMs, since, warning, wordsOf } from './check.ts'
import { checkForwarding } from './forwarding.ts'
import { checkMcp } from './mcp.ts'
import { ending } from './settings.ts'
import { checkSocket } from './socket.ts'
import { checkStream } from './stream.ts'
import { membersOf, refusalOf, trust, visit, type Answer, type Place } from './visit.ts'

/** With which keys the running server is called, and what is said to an agent; nothing where no chat is wanted. */
export interface Means { key: string | undefined, adminKey: string | undefined, say: string | undefined, release: string }

/** The running server, as its clients reach it. */
export async function checkServer (place: Place, api: Config['api'], means: Means): Promise<Check[]> {
  const secure = place.url.startsWith('https:') ? await check('tls', 'TLS', async () => await tls(place)) : await check('tls', 'TLS', () => clear(place))
  // Without knowing who is there no key is sent.
  if (secure.status === 'failed') return [secure]
  const alive = await check('server', 'server', async () => await reach(place))
  if (alive.status === 'failed') return [alive, secure]
  return [alive, secure, ...await Promise.all([
    check('ready', 'readiness', async () => await ready(place, means.release)),
    checkForwarding(place, means.adminKey),
    ...(means.say === undefined ? [] : [checkStream(place, means.key, means.say)]),
    checkSocket(place, means.key),
    checkMcp(place, api, means.key)
  ])]
}

function clear ({ url }: Place): Finding {
  return isLoopback(new URL(url).hostname)
    ? ok('none, and none needed on this machine')
    : warning('none: keys go in clear text', 'put TLS before the server, and https in api.public_url')
}

async function tls ({ url, ca, isPinned }: Place): Promise<Finding> {
  const { hostname, port } = new URL(url)
  const host = hostname.replace(/[[\]]/g, '')
  const socket = connect({ host, port: Number(port || 443), ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }), ALPNProtocols: ['h2', 'http/1.1'], ...trust({ ca, isPinned }) })
  const timer = setTimeout(() => { socket.destroy(new Error(`no connection within ${patienceMs / 1_000} s`)) }, patienceMs - 300)
  try {
    await new Promise((resolve, reject) => { socket.once('secureConnect', resolve).once('error', reject) })
    const validity = ending(socket.getPeerCertificate().valid_to, 'renew the certificate of the address that clients use', `${socket.getProtocol()}, the certificate `)
    if (validity.status !== 'ok') return validity
    return socket.alpnProtocol === 'h2'
      ? ok(`${validity.fact}, HTTP/2`)
      : warning(`${validity.fact}, no HTTP/2: browsers then have six streams at most`, 'turn on HTTP/2 for clients at the proxy')
  } catch (error) {
    return tlsFault(error as { code?: string, message: string }, url)
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

function tlsFault (error: { code?: string, message: string }, url: string): Finding {
  const { code = '' } = error
  if (/^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/.test(code)) return failed(`nothing answers at ${url} (${code})`, away)
  if (code === 'CERT_HAS_EXPIRED') return failed(`${url}: the certificate has ended`, 'renew it')
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return failed(`${url}: the certificate is for another name`, 'take one for this name, or write its name in api.public_url')
  if (/^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/.test(code)) return failed(`${url}: the certificate is not signed by anyone that Node.js trusts`, 'send the whole chain; for an authority of your own: --ca FILE')
  if (/WRONG_VERSION|PACKET_LENGTH/.test(code)) return failed(`${url}: what answers there does not speak TLS`, 'write http in --url or api.public_url, or put TLS there')
  return failed(`${url}: ${wordsOf(error)}`, away)
}

const away = 'start the server (muxi-api start), or say where it is: --url URL or api.public_url'

async function reach (place: Place): Promise<Finding> {
  const started = performance.now()
  let answer: Answer
  try {
    answer = await visit(place, '/health')
  } catch (error) {
    return failed(`nothing answers at ${place.url} (${(error as { code?: string }).code ?? wordsOf(error)})`, away)
  }
  if (answer.status === 200 && membersOf(answer.text).status === 'ok') return ok(`${place.url} answers in ${since(started)} ms`)
  const { location } = answer.headers
  if (location !== undefined) return failed(`${place.url} sends on to ${location}`, 'give clients, api.public_url and --url the address at the end')
  return failed(`${place.url}/health: ${refusalOf(answer)}`, 'the proxy must pass every path on to the server, and the server must be up')
}

async function ready (place: Place, release: string): Promise<Finding> {
  const { status, text } = await visit(place, '/health/ready')
  const { status: state, version, checks = {} } = membersOf(text) as { status?: string, version?: string, checks?: Record<string, string> }
  if (state === undefined || version === undefined) return warning(`/health/ready answers ${status}, and not from muxi-api`, 'the proxy must pass it on, or keep it inside on purpose')
  const reasons = Object.entries(checks).filter(([, said]) => said !== 'up').map(([name, said]) => `${name}: ${said}`).join('; ')
  if (state === 'degraded') return warning(`degraded: ${reasons}`, 'it serves, but without that part: see its lines here')
  if (state !== 'ready') return failed(`${state}${reasons === '' ? '' : `: ${reasons}`}`, state === 'draining' ? 'it is being stopped: start it again' : 'see the lines of the MUXI Core; the running server may have other settings')
  return version === release ? ok(`ready, version ${version}`) : warning(`ready, version ${version}; this command is ${release}`, 'restart the server, or check it with the command of its version')
}
