import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import pino from 'pino'
import type { AuditEvent, AuditQuery } from '../schemas/audit.ts'
import type { Contract } from '../schemas/contract.ts'

type Note = Omit<AuditEvent, 'id' | 'at'>

declare module 'fastify' {
  interface FastifyInstance {
    audit: {
      /** Records a security event. No part of it may be a secret. */
      note: (event: Note, request?: FastifyRequest) => void
      /** Records that a request was turned away; of many in a minute the first hundred, then that there are many. */
      refused: (request: FastifyRequest, reason: 'missing' | 'malformed' | 'unknown' | 'level' | 'blocked' | 'signature', digest?: string) => void
      /** As much of a digest as tells keys apart, for people. */
      nameOf: (digest: string) => string
      /** Newest first, one more than `limit` where there are more. */
      read: (query: AuditQuery) => Promise<AuditEvent[]>
    }
  }
}

const kept = { most: 10_000, ttlMs: 30 * 86_400_000 }
const minute = 60_000
const mostRefusals = 100

/** Security events: in the cluster for `audit_event_list`, in a file of their own where one is set, else in the log. */
export default fp(async (app) => {
  const { cluster, seal, metrics, config: { api } } = app
  const file = api.audit_file === undefined ? undefined : pino.destination({ dest: api.audit_file, append: true, mkdir: true, sync: false })
  // Whoever rotates files moves them away, then says so.
  const reopen = () => { file?.reopen() }
  if (file !== undefined) process.on('SIGHUP', reopen)
  app.addHook('onClose', async () => {
    process.off('SIGHUP', reopen)
    if (file === undefined) return
    file.end()
    await once(file, 'close')
  })

  const note = (facts: Note, request?: FastifyRequest) => {
    const at = new Date().toISOString()
    const event: AuditEvent = { id: `aud_${Date.now().toString(36)}${randomBytes(6).toString('hex')}`, at, ...(request !== undefined && originOf(request)), ...facts }
    metrics.audited.inc({ event: event.event })
    if (file === undefined) app.log.info({ audit: event }, `security: ${event.event}`)
    else file.write(`${JSON.stringify(event)}\n`)
    cluster.push('audit', seal.close(JSON.stringify(event), 'audit'), kept).catch((error: unknown) => { app.log.warn({ err: error, audit: event }, 'a security event could not be kept') })
  }

  let began = 0
  let refusals = 0
  app.decorate('audit', {
    note,
    nameOf,
    refused: (request, reason, digest) => {
      metrics.refusals.inc({ reason })
      if (performance.now() - began > minute) [began, refusals] = [performance.now(), 0]
      refusals++
      if (refusals <= mostRefusals) note({ event: 'refused', ...(digest !== undefined && { key: nameOf(digest) }), details: { reason } }, request)
      else if (refusals === mostRefusals + 1) note({ event: 'refusals_surge', details: { more_than: mostRefusals, within_seconds: minute / 1_000 } }, request)
    },
    read: async ({ limit, before, event, address, key, from, to }) => {
      const { items } = await cluster.list('audit')
      const found: AuditEvent[] = []
      let begun = before === undefined
      const [since, until] = [from, to].map((time) => time === undefined ? undefined : Date.parse(time))
      for (let index = items.length - 1; index >= 0 && found.length <= limit; index--) {
        if (index % 256 === 0) await turn()
        const text = seal.open(items[index]!, 'audit')
        if (text === undefined) continue
        const one = JSON.parse(text) as AuditEvent
        const at = Date.parse(one.at)
        const fits = begun && (event === undefined || one.event === event) && (address === undefined || one.address === address) && (key === undefined || one.key === key)
        if (fits && (since === undefined || at >= since) && (until === undefined || at <= until)) found.push(one)
        begun ||= one.id === before
      }
      return found
    }
  })

  app.addHook('onRoute', (route) => {
    // Every route that has an access level has a contract.
    const isRead = (route.schema as Partial<Contract> | undefined)?.isRead === true || [route.method].flat().every((method) => method === 'GET' || method === 'HEAD')
    // Telemetry that is sent here changes nothing, and comes every second.
    if (route.config?.access === 'admin' && !isRead && route.config.otlp === undefined) route.onResponse = [...[route.onResponse ?? []].flat(), changed]
  })
  async function changed (request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (reply.statusCode < 400) note({ event: 'admin_change', key: nameOf(request.caller.keyDigest) }, request)
  }
}, { name: 'audit', dependencies: ['cluster', 'telemetry'] })

function nameOf (digest: string): string {
  return digest.slice(0, 12)
}

function originOf (request: FastifyRequest): Pick<AuditEvent, 'request_id' | 'operation' | 'method' | 'path' | 'address'> {
  const { id, ip, method, url, routeOptions: { schema } } = request
  const operation = schema?.operationId
  return { request_id: id, ...(operation !== undefined && { operation }), method, path: url.split('?', 1)[0]!, address: ip }
}
