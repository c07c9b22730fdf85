import type { SystemStatus } from '../../schemas/system.ts'
import { isInside, isLoopback, plainAddress } from '../addresses.ts'
import { type Check, check, type Finding, ok, warning } from './check.ts'
import { errorIn, membersOf, refusalOf, visit, type Answer, type Place } from './visit.ts'

type Arrival = SystemStatus['arrival']

/** Whether the server knows the address, protocol and host that clients use: it is asked how our own call came in. */
export async function checkForwarding (place: Place, key: string | undefined): Promise<Check> {
  return await check('forwarding', 'forwarding', async () => {
    if (key === undefined) return warning('not checked: only an admin may ask how calls come in', 'set core.admin_key (MUXI_CORE_ADMIN_KEY)')
    const answer = await visit(place, '/api/v1/system/status', { headers: { authorization: `Bearer ${key}` } })
    const { arrival } = membersOf(answer.text) as { arrival?: Arrival }
    if (answer.status !== 200) return refused(answer)
    return arrival === undefined ? warning('not checked: the server is older than this command', 'restart it with this version') : judgeArrival(place, answer, arrival)
  })
}

function refused (answer: Answer): Finding {
  return warning(`not checked: ${refusalOf(answer)}`, errorIn(answer)?.code === 'forbidden'
    ? 'allow this machine in api.admin_from, or look from one that is allowed'
    : 'the server must take core.admin_key as the key of a caller: see the line of the admin key')
}

/** What the way that a call took tells of the proxies on it. */
export function judgeArrival ({ url }: Pick<Place, 'url'>, { localAddress, remoteAddress }: Pick<Answer, 'localAddress' | 'remoteAddress'>, { address, peer, forwarded, protocol, host }: Arrival): Finding {
  const [seen, last, own, far] = [address, peer, localAddress, remoteAddress].map(plainAddress) as [string, string, string, string]
  const { protocol: scheme, host: name } = new URL(url)
  if (forwarded === 'ignored') return warning(`the proxy at ${last} tells whose call it is, and the server does not listen: to it all callers are ${seen}`, `set api.trust_proxy (MUXI_API_TRUST_PROXY) to ${last}`)
  if (isProxy(seen, own, far)) return warning(`the server takes this call for one of ${seen}, which is the proxy, it seems`, 'let the proxy send X-Forwarded-For, and name it in api.trust_proxy')
  if (`${protocol}:` !== scheme) {
    return warning(`the call came by ${scheme.slice(0, -1)}, the server takes it for ${protocol}`, forwarded === 'none'
      ? `let the proxy send X-Forwarded-For and X-Forwarded-Proto, and set api.trust_proxy to its address (${last})`
      : 'let the proxy send X-Forwarded-Proto')
  }
  if (host !== name) return warning(`the call was for ${name}, the server takes it for ${host}`, 'let the proxy pass Host on as it is, or send X-Forwarded-Host')
  return ok(`the server sees ${seen}, ${protocol}, ${host}${forwarded === 'counted' ? `, through the proxy at ${last}` : ''}`)
}

/** Whether the address that the server sees must be that of whoever took our connection, since it can be neither ours nor that of a router before us. */
function isProxy (seen: string, own: string, far: string): boolean {
  if (seen === own || isLoopback(own)) return false
  return isLoopback(seen) || seen === far || (isInside(seen) && !isInside(far))
}
