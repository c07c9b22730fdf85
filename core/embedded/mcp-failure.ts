/** Why an MCP server could not be used, in a few words that hold no secret. */
export function reasonOf (err: unknown, secrets: string[] = []): string {
  const chain = chainOf(err)
  const status = statusOf(chain)
  if (status !== undefined) return `it answered ${status}`
  const codes = codesOf(chain)
  if (codes.includes('REQUEST_TIMEOUT')) return 'it did not answer in time'
  if (codes.includes('CONNECTION_CLOSED')) return 'it closed the connection'
  const system = codes.find(isSystemCode)
  if (system !== undefined) return system
  const [line = ''] = (chain.at(-1)?.message ?? String(err)).split('\n')
  return secrets.reduce((text, secret) => text.replaceAll(secret, '***'), line).slice(0, 200)
}

/** Whether the server, or the session there, is gone; a tool that fails is no such case. */
export function isGone (err: unknown): boolean {
  const chain = chainOf(err)
  const codes = codesOf(chain)
  return statusOf(chain) !== undefined || chain.some(({ message }) => message === 'fetch failed') ||
    codes.some((code) => isSystemCode(code) || ['NOT_CONNECTED', 'CONNECTION_CLOSED', 'SEND_FAILED'].includes(code))
}

/** Whether a call certainly had no effect, so that it may be made again. */
export function isUntouched (err: unknown): boolean {
  const chain = chainOf(err)
  const codes = codesOf(chain)
  // a server that was restarted answers 404, some 400, to the session of before
  return [400, 404].includes(statusOf(chain) ?? 0) || codes.includes('NOT_CONNECTED') || codes.includes('ECONNREFUSED')
}

/** What the server itself said against a call, by the protocol; undefined when it was not that. */
export function refusalIn (err: unknown): string | undefined {
  return chainOf(err).find(({ name }) => name === 'ProtocolError')?.message
}

/** Whether it was waited for in vain. */
export function isLate (err: unknown): boolean {
  return codesOf(chainOf(err)).includes('REQUEST_TIMEOUT')
}

/** An error and what led to it; the SDK keeps some of that in `data`. */
function chainOf (err: unknown): Error[] {
  const chain: Error[] = []
  let next = err
  while (next instanceof Error && chain.length < 10) {
    chain.push(next)
    const data: unknown = 'data' in next ? next.data : undefined
    const inner = typeof data === 'object' && data !== null && 'cause' in data ? data.cause : undefined
    next = next instanceof AggregateError ? next.errors[0] : next.cause ?? inner
  }
  return chain
}

function codesOf (chain: Error[]): string[] {
  return chain.flatMap((err) => 'code' in err && typeof err.code === 'string' ? [err.code] : [])
}

function statusOf (chain: Error[]): number | undefined {
  return chain.flatMap((err) => 'status' in err && typeof err.status === 'number' && err.status >= 400 ? [err.status] : [])[0]
}

function isSystemCode (code: string): boolean {
  return /^E[A-Z]{3,}$|^UND_ERR_/.test(code)
}
