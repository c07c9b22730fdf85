import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import { ApiError } from '../../errors.ts'
import { kinds, type Connection, type ConnectionList, type ConnectionListQuery, type Kind } from '../../schemas/connections.ts'
import { createQuestions } from './questions.ts'
import { Registry, type Handle, type Opened, type Page } from './registry.ts'

declare module 'fastify' {
  interface FastifyInstance {
    connections: {
      /** Notes that a stream is open. Throws `rate_limited` where its key holds as many log and trace streams as it may. */
      add: (request: FastifyRequest, opened: Opened) => Handle
      /** How many are open at this instance, of one kind or of all. */
      count: (kind?: Kind) => number
      /** How many are open at this instance, by kind. */
      counts: () => Record<Kind, number>
      /** Those of this instance, the oldest first. */
      list: () => Connection[]
      /** Those of all instances, by id. */
      listAll: (query: ConnectionListQuery) => Promise<ConnectionList>
      /** Ends one, at whatever instance it is; throws `not_found` where no instance says that it has it. */
      close: (id: string) => Promise<void>
      /** Tells all of this instance that it stops, in slices over at most so many ms; resolves when all are told. */
      drain: (ms: number) => Promise<void>
    }
  }
}

type Question = { list: ConnectionListQuery } | { close: string }
type Answer = Page | { closed: boolean }

const nobody = { answers: [], silent: [] }

/** Knows every stream that is open: limits them by key, lists and closes them over all instances, ends them when this one stops. */
export default fp(async (app) => {
  const { audit, cluster, metrics } = app
  for (const kind of kinds) if (kind !== 'socket') metrics.streams.set({ kind }, 0)
  const registry = new Registry({
    instance: cluster.id,
    most: () => app.config.api.streams_per_caller,
    onChange: (kind, by) => {
      if (kind === 'socket') metrics.sockets.inc(by)
      else metrics.streams.inc({ kind }, by)
    }
  })
  const answerTo = (question: Question): Answer => 'list' in question ? registry.list(question.list) : { closed: registry.close(question.close) }
  const others = cluster.kind === 'memory' ? undefined : createQuestions(app, 'connections', answerTo)

  app.decorate('connections', {
    add: (request, opened) => {
      const { caller: { keyDigest: digest }, ip: address } = request
      try {
        return registry.add({ digest, key: audit.nameOf(digest), address }, opened)
      } catch (error) {
        metrics.limited.inc({ scope: 'streams' })
        throw error
      }
    },
    count: (kind) => kind === undefined ? registry.size : registry.counts[kind],
    counts: () => ({ ...registry.counts }),
    list: () => registry.list({}).connections,
    listAll: async (query) => {
      const { answers, silent } = await others?.ask({ list: query }) ?? nobody
      const pages = [registry.list(query), ...answers.filter((answer) => 'connections' in answer)]
      const found = pages.flatMap(({ connections }) => connections).sort((a, b) => a.id < b.id ? -1 : 1)
      const connections = found.slice(0, query.limit)
      const hasMore = sum(pages, ({ left }) => left) > connections.length
      return { connections, total: sum(pages, ({ total }) => total), next_after: hasMore ? connections.at(-1)?.id ?? null : null, silent }
    },
    close: async (id) => {
      if (registry.close(id)) return
      const isHere = (answer: Answer) => 'closed' in answer && answer.closed
      const { answers, silent } = await others?.ask({ close: id }, isHere) ?? nobody
      if (!answers.some(isHere)) throw new ApiError('not_found', `no open stream ${id}`, silent.length > 0 ? { details: { silent } } : {})
    },
    drain: async (ms) => { await registry.drain(ms) }
  })

  // Who is closed without being stopped first tells its streams so, too.
  app.addHook('preClose', async () => { await registry.drain(0) })
  app.addHook('onClose', async () => { others?.close() })
}, { name: 'connections', dependencies: ['audit', 'auth', 'cluster', 'telemetry'] })

function sum<T> (items: T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
