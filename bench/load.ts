import autocannon from 'autocannon'

/** One burst of equal requests. */
export interface Order { url: string, headers: Record<string, string>, connections: number, seconds: number }
export interface Burst { requests: number, perSecond: number, latencyMs: number, failures: number }

process.on('disconnect', () => process.exit())
process.on('message', ({ url, headers, connections, seconds }: Order) => {
  autocannon({ url, headers, connections, duration: seconds, sampleInt: 100 }).then((result) => {
    const { requests: { total }, latency, duration, errors, non2xx } = result
    const burst: Burst = { requests: total, perSecond: total / duration, latencyMs: latency.average, failures: errors + non2xx }
    process.send?.(burst)
  }).catch((error) => { throw error })
})
