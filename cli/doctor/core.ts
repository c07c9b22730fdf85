import type { Config } from '../../config.ts'
import { capabilities, routesIn, type Capability } from '../../core/capabilities.ts'
import { CoreClient } from '../../core/client.ts'
import { reasonOf } from '../../core/examination.ts'
import type { CoreTarget } from '../../core/target.ts'
import { type Check, check, failed, type Finding, ok, patienceMs, since, skewWords, warning, wordsOf } from './check.ts'

const silent = { onCall: () => {}, onMalformed: () => {}, onAway: () => {}, onRetry: () => {}, onBreaker: () => {}, onRefused: () => {} }
const worstSkewMs = 5_000

/** Each Core of the settings, and what it says of our keys. */
export async function checkCores (settings: Config['core']): Promise<Check[]> {
  let client: CoreClient
  try {
    client = new CoreClient(settings, silent)
  } catch (error) {
    return [await check('core', 'MUXI Core', () => failed(wordsOf(error), 'name readable PEM files in core.tls_ca, core.tls_cert and core.tls_key'))]
  }
  try {
    const { targets } = client.transport
    const found = await Promise.all(targets.map(async (target) => await checkCore(client, settings, target, targets.length > 1 ? ` ${target.name}` : '')))
    return found.flat()
  } finally {
    await client.close()
  }
}

async function checkCore (client: CoreClient, settings: Config['core'], target: CoreTarget, name: string): Promise<Check[]> {
  const reached = await check('core', `MUXI Core${name}`, async () => await reach(client, target))
  if (reached.status === 'failed') return [reached]
  let routes: Set<string> | undefined
  return [reached, ...await Promise.all([
    check('capabilities', `capabilities${name}`, async () => {
      routes = routesIn(await client.document(target))
      return capabilitiesIn(routes)
    }),
    check('admin_key', `admin key${name}`, async () => await level(client, target, 'admin', settings.admin_key)),
    check('client_key', `client key${name}`, async () => await level(client, target, 'user', settings.client_key)),
    check('clock', `clock${name}`, async () => await clock(client, target))
  ])]
}

async function reach (client: CoreClient, target: CoreTarget): Promise<Finding> {
  const started = performance.now()
  try {
    await client.ping(target)
    const took = since(started)
    const { info } = (await client.document(target) ?? {}) as { info?: { version?: unknown } }
    if (typeof info?.version !== 'string') return failed(`what answers at ${target.uri} is no MUXI Core`, 'set core.uri (MUXI_CORE_URI) to the address of the Core, its path included')
    return ok(`${target.uri}, version ${info.version}, answers in ${took} ms`)
  } catch (error) {
    return failed(`${target.uri}: ${reasonOf(error)}`, 'start the Core, or set core.uri (MUXI_CORE_URI) and core.tls_* to what it needs')
  }
}

function capabilitiesIn (routes: Set<string>): Finding {
  const all = Object.keys(capabilities) as Capability[]
  const missing = all.filter((capability) => !routes.has(capabilities[capability]))
  if (missing.includes('chat')) return failed('the Core offers no chat: it is no MUXI Core', 'set core.uri (MUXI_CORE_URI) to the address of the Core')
  return missing.length === 0
    ? ok(`all ${all.length}`)
    : warning(`${all.length - missing.length} of ${all.length}; not offered: ${missing.join(', ')}`, 'what needs these answers 501; a newer Core may have them')
}

async function level (client: CoreClient, target: CoreTarget, wanted: 'admin' | 'user', key: string | undefined): Promise<Finding> {
  const [setting, env] = wanted === 'admin' ? ['core.admin_key', 'MUXI_CORE_ADMIN_KEY'] : ['core.client_key', 'MUXI_CORE_CLIENT_KEY']
  if (key === undefined) {
    return warning('unset', wanted === 'admin'
      ? `set ${setting} (${env}): without it keys cannot be checked by introspection, and calls of users and of tokens that need an admin route of the Core are 501`
      : `set ${setting} (${env}): without it calls of admins and of tokens that need a client route of the Core, such as chat, are 501`)
  }
  try {
    const verdict = await client.accessOf(key, 'probing', target)
    if (verdict === undefined) return failed('the Core refuses it', `set ${setting} (${env}) to a key that this Core knows`)
    return verdict.access === wanted ? ok(`the Core takes it, level ${wanted}`) : failed(`the Core takes it with level ${verdict.access}`, `${setting} must have level ${wanted}: are the two keys swapped?`)
  } catch (error) {
    return failed(reasonOf(error), 'the Core must answer /v1/overlord/soul to admins and /v1/sops to clients')
  }
}

async function clock (client: CoreClient, target: CoreTarget): Promise<Finding> {
  const before = Date.now()
  const { headers } = await client.transport.exchange({ method: 'GET', path: '/v1/health', headers: {} }, { most: 65_536, timeout: patienceMs, own: true, check: target })
  const told = Date.parse(String(headers.date))
  if (Number.isNaN(told)) return ok('the Core tells no time')
  // The header has whole seconds: on average half of one is cut off.
  const skew = told + 500 - (before + Date.now()) / 2
  return Math.abs(skew) <= worstSkewMs ? ok('the Core\'s agrees within 5 s') : warning(`the Core is ${skewWords(skew)}`, 'let both keep time by NTP: keys and signed verdicts end by the clock')
}
