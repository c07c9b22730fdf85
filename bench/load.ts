import autocannon from 'autocannon'

/** One burst of equal requests: GET, or POST of a body, in which `[<id>]` is another id each time; `each` are headers of each connection in addition. */
export interface Order { url: string, headers: Record<string, string>, connections: number, seconds: number, body?: string, each?: Record<string, string>[] }
export interface Burst { requests: number, perSecond: number, latencyMs: number, failures: number }

process.on('disconnect', () => process.exit())
process.on('message', ({ url, headers, connections, seconds, body, each }: Order) => {
  let opened = 0
  autocannon({
    url,
    headers,
    connections,
    duration: seconds,
    sampleInt: 100,
    ...(body !== undefined && { method: 'POST', body, idReplacement: true }),
    ...(each !== undefined && { setupClient: (client) => { client.setHeaders({ ...headers, ...each[opened++ % each.length] }) } })
  }).then((result) => {
    const { requests: { total }, latency, duration, errors, non2xx } = result
    const burst: Burst = { requests: total, perSecond: total / duration, latencyMs: latency.average, failures: errors + non2xx }
    process.send?.(burst)
  }).catch((error) => { throw error })
})
