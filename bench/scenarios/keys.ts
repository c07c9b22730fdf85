import { hash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { buildApp } from '../../app.ts'
import { loadConfig } from '../../config.ts'
import { startPeer } from '../processes.ts'
import type { Figure, Options, Outcome } from '../report.ts'

type Hook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void
interface Taken { request: FastifyRequest, reply: FastifyReply, check: Hook }

const adminKey = 'sk_muxi_admin_000000000000000000000000'
const distinct = 1_000

/** What it costs to know a caller whose key has been asked for: the very hook of the server, called with a request that came over HTTP. */
export default async function keys ({ quick, say }: Options): Promise<Outcome> {
  const { warmUp, rounds, checks } = quick ? { warmUp: 30_000, rounds: 3, checks: 50_000 } : { warmUp: 200_000, rounds: 9, checks: 400_000 }
  const core = await startPeer('core')
  const env = {
    MUXI_CORE_URI: core.url,
    MUXI_CORE_ADMIN_KEY: adminKey,
    MUXI_API_LOG_LEVEL: 'silent',
    MUXI_API_KEY_CACHE_MS: '3600000',
    MUXI_API_RATE_LIMIT: '0',
    MUXI_API_USER_TOKENS_SECRET: 'a-secret-for-user-tokens-of-32-characters'
  }
  const app = await buildApp(loadConfig({ env, cwd: '/nonexistent' }).config)
  try {
    const taken = await takeFrom(app)
    const headers = Array.from({ length: distinct }, (_, i) => `Bearer sk_muxi_admin_${String(i).padStart(24, '0')}`)
    const tokens = await Promise.all(headers.map(async (authorization) => await tokenFor(app, authorization)))
    say(`${distinct} keys and as many tokens are known`)

    const work: Record<string, (count: number) => Promise<void>> = {
      'a known key': async (count) => { await check(taken, headers, count) },
      'a user token of a known key': async (count) => { await check(taken, tokens, count / 4) },
      'one SHA-256 and a Map': async (count) => { bare(headers, count) }
    }
    const micros = new Map<string, number[]>()
    for (const [what, run] of Object.entries(work)) {
      await run(warmUp)
      micros.set(what, [])
    }
    for (let round = 1; round <= rounds; round++) {
      for (const [what, run] of Object.entries(work)) micros.get(what)!.push(await costOf(run, checks, what.includes('token') ? checks / 4 : checks))
      say(`round ${round} of ${rounds}: ${[...micros].map(([what, all]) => `${what} ${all.at(-1)!.toFixed(2)} µs`).join(', ')}`)
    }
    return { how: `${checks} checks of ${distinct} keys, one after the other, ${rounds} interleaved rounds`, figures: figuresOf(micros) }
  } finally {
    await app.close()
  }
}

/** The hook that names the caller: the one after which there is one. */
async function takeFrom (app: FastifyInstance): Promise<Taken> {
  let seen: { request: FastifyRequest, reply: FastifyReply } | undefined
  app.addHook('preHandler', (request, reply, done) => {
    seen = { request, reply }
    done()
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  await app.core.check()
  // Of level user, which tokens reach, too, and without a call of the Core.
  const res = await fetch(`${url}/api/v1/stream-tickets`, { method: 'POST', headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' }, body: '{}' })
  await res.text()
  if (res.status !== 201 || seen === undefined) throw new Error(`the server answers ${res.status}`)

  const { request, reply } = seen
  // Fastify keeps the hooks of a route in its context, under a symbol.
  const context = Object.getOwnPropertySymbols(request).map((symbol) => (request as unknown as Record<symbol, unknown>)[symbol]).find((value) => Array.isArray((value as { onRequest?: unknown } | null)?.onRequest)) as { onRequest: Hook[] }
  const nobody = request.caller
  for (const check of context.onRequest) {
    Object.assign(request, { caller: undefined })
    check.call(app, request, reply, () => {})
    if ((request.caller as unknown) !== undefined) return { request, reply, check: check.bind(app) }
  }
  throw new Error(`no hook names the caller that was ${nobody.access}`)
}

async function tokenFor (app: FastifyInstance, authorization: string): Promise<string> {
  const res = await app.inject({ method: 'POST', url: '/api/v1/user-tokens', headers: { authorization }, payload: { user_id: 'ada', scope: ['stream_ticket_*'], ttl_seconds: 3_600 } })
  if (res.statusCode !== 201) throw new Error(`no token: ${res.statusCode} ${res.body}`)
  return `Bearer ${res.json<{ token: string }>().token}`
}

/** Waits for each answer, as a request does. */
async function check ({ request, reply, check }: Taken, headers: string[], count: number): Promise<void> {
  let failure: Error | undefined
  for (let i = 0; i < count; i++) {
    request.raw.headers.authorization = headers[i % headers.length]!
    const known = { done: false, wait: undefined as (() => void) | undefined }
    check(request, reply, (error) => {
      if (error !== undefined) failure = error
      known.done = true
      known.wait?.()
    })
    if (!known.done) await new Promise<void>((resolve) => { known.wait = resolve })
    if (failure !== undefined) throw failure
  }
}

/** What cannot be spared when keys are kept as digests alone. */
function bare (headers: string[], count: number): void {
  const known = new Map(headers.map((text) => [hash('sha256', text.slice(7), 'base64url'), text]))
  for (let i = 0; i < count; i++) if (!known.has(hash('sha256', headers[i % headers.length]!.slice(7), 'base64url'))) throw new Error('unknown')
}

async function costOf (run: (count: number) => Promise<void>, checks: number, done: number): Promise<number> {
  const before = process.cpuUsage()
  await run(checks)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / done
}

function figuresOf (micros: Map<string, number[]>): Figure[] {
  const of = (what: string) => micros.get(what)!
  const floor = of('one SHA-256 and a Map')
  return [
    ...[...micros].map(([what, values]): Figure => ({ what: `CPU per check, ${what}`, unit: 'µs', values, ...(what === 'a known key' && { target: 'key' as const }) })),
    { what: 'a known key : one SHA-256 and a Map', unit: '×', values: of('a known key').map((value, round) => value / floor[round]!) }
  ]
}
