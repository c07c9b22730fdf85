import type { Server } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { Gauge } from 'prom-client'
import { daysLeft, invalidNow, readPair, type Pair } from './certificate.ts'
import { watchFiles } from './watch.ts'

const dayMs = 86_400_000

/** Takes up a renewed certificate: new connections get it, open ones go on. What cannot serve is told, and the old one stays. */
export function renewCertificate (app: FastifyInstance, paths: { cert: string, key: string }): void {
  const { tls_min_version: version } = app.config.api
  // Here and not with the others: without TLS there is no date to show.
  const gauge = new Gauge({ name: 'muxi_api_tls_certificate_expiry_timestamp_seconds', help: 'When the certificate in force ends', registers: [app.metrics.registry] })
  let pair = readPair(paths)
  gauge.set(pair.ends.getTime() / 1_000)

  const warnOfEnd = () => {
    const [ends, days] = [pair.ends.toISOString(), daysLeft(pair)]
    if (days !== undefined) app.log.warn({ ends, daysLeft: days }, invalidNow(pair) === undefined ? 'the certificate ends soon' : 'the certificate has ended: clients refuse it')
  }
  const renew = () => {
    let next: Pair
    try {
      next = readPair(paths)
    } catch (error) {
      app.log.error({ reason: (error as Error).message, ends: pair.ends.toISOString() }, 'the renewed certificate cannot be used: the old one stays in force')
      return
    }
    const invalid = invalidNow(next)
    if (invalid !== undefined) {
      app.log.warn({ reason: invalid, ends: pair.ends.toISOString() }, 'the renewed certificate does not hold now: the old one stays in force')
      return
    }
    // Node's HTTP/2 server is a TLS server, too.
    ;(app.server as unknown as Server).setSecureContext({ cert: next.cert, key: next.key, minVersion: `TLSv${version}` })
    pair = next
    gauge.set(pair.ends.getTime() / 1_000)
    app.log.info({ ends: pair.ends.toISOString(), serial: pair.serial }, 'the renewed certificate is in force')
    warnOfEnd()
  }

  const close = watchFiles(() => [paths.cert, paths.key], renew)
  const daily = setInterval(warnOfEnd, dayMs).unref()
  app.addHook('onListen', async () => {
    app.log.info({ ends: pair.ends.toISOString(), serial: pair.serial }, 'the certificate is in force')
    warnOfEnd()
  })
  app.addHook('onClose', async () => {
    close()
    clearInterval(daily)
  })
}
