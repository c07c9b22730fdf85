import { Counter, Histogram } from 'prom-client'
import type { FastifyInstance } from 'fastify'
import type { SignalInput } from '../../schemas/rtc.ts'
import type { Reported } from './fallback.ts'

/** What is counted of signaling. */
export type Measures = ReturnType<typeof createMeasures>

/** How well peers find each other. Rates of success are `connected` and `failed` over `attempts`; labels come from closed sets. */
export function createMeasures ({ metrics: { registry } }: Pick<FastifyInstance, 'metrics'>) {
  const registers = [registry]
  const counter = (name: string, help: string, labelNames: string[] = []) => new Counter({ name: `muxi_api_rtc_${name}_total`, help, labelNames, registers })
  const signals = counter('signals', 'Signals passed on, by type and by what became of them', ['type', 'status'])
  const attempts = counter('attempts', 'Negotiations begun; restarts are those of connections that were there', ['kind'])
  const outcomes = counter('connections', 'What peers reported of their connections', ['outcome'])
  const routes = counter('routes', 'Kinds of the candidates that connected peers chose', ['local', 'remote', 'protocol'])
  const fallbacks = counter('fallbacks', 'Steps that peers were told to try after a failure', ['step'])
  const connect = new Histogram({ name: 'muxi_api_rtc_connect_duration_seconds', help: 'Time from an offer to the first report of a connection', buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30], registers })
  return {
    sessions: counter('sessions', 'Rooms opened'),
    joins: counter('joins', 'Participants that came into rooms'),
    returns: counter('returns', 'Participants that were heard again: resumed where they were, or anew', ['kind']),
    reaped: counter('reaped', 'Participants taken out because they were gone without a word'),
    relayedBytes: counter('relayed_bytes', 'Bytes of data relayed for peers that do not reach each other'),
    delivery: new Histogram({ name: 'muxi_api_rtc_delivery_seconds', help: 'Time from taking a signal to handing it to the connection of its recipient, as the clocks of the instances have it', buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10], registers }),
    sent: (signal: SignalInput, status: string) => {
      signals.inc({ type: signal.type, status })
      if (signal.type === 'offer') attempts.inc({ kind: signal.ice_restart === true ? 'restart' : 'offer' })
    },
    reported: ({ connectedMs, isConnected, isFailed, step }: Reported, { route }: Extract<SignalInput, { type: 'state' }>) => {
      if (isConnected === true) {
        outcomes.inc({ outcome: 'connected' })
        if (route !== undefined) routes.inc({ local: route.local, remote: route.remote, protocol: route.protocol ?? 'udp' })
        if (connectedMs !== undefined) connect.observe(connectedMs / 1_000)
      }
      if (isFailed === true) outcomes.inc({ outcome: 'failed' })
      if (step !== undefined) fallbacks.inc({ step })
    }
  }
}
