import fp from 'fastify-plugin'
import type { RouteOptions } from 'fastify'
import type { Access, Contract } from '../schemas/contract.ts'
import type { Capability } from '../core/capabilities.ts'

/** One operation of the server: its contract and what the route added. */
export interface Operation {
  id: string
  method: string
  url: string
  access: Access
  capability: Capability | undefined
  /** What makes it whole; a Core without it serves it in part. */
  prefers: Capability | undefined
  contract: Contract
  /** Units of the caller's limit that one call costs. */
  cost: number
  /** Left out of documents: part of a page, not of the API. */
  hidden: boolean
}

declare module 'fastify' {
  interface FastifyInstance { operations: Operation[] }
}

const form = /^(?=.{1,64}$)[a-z][a-z0-9]*(_[a-z0-9]+)+$/
const levels = ['public', 'user', 'admin']

/** Lists every operation; refuses the start when a route lacks an access level or a name of its own. */
export default fp(async (app) => {
  const routes: RouteOptions[] = []
  const operations: Operation[] = []
  app.decorate('operations', operations)

  app.addHook('onRoute', (route) => {
    if (methodOf(route) !== undefined) routes.push(route)
  })

  // Not before all routes are known: a plugin may add to a route what its author could not.
  app.addHook('onReady', async () => {
    const faults: string[] = []
    const urls = new Map<string, string>()
    for (const route of routes) {
      const { url, schema, config } = route
      const method = methodOf(route)!
      const place = `${method} ${url}`
      const id = schema?.operationId ?? ''
      if (!levels.includes(config?.access ?? '')) faults.push(`${place} has no access level: give it config.access of public, user or admin`)
      if (!form.test(id)) faults.push(`${place} has ${id === '' ? 'no operation id' : `the operation id "${id}"`}: it must be {resource}_{action}, lower case, at most 64 characters`)
      else if (urls.has(id)) faults.push(`${place} repeats the operation id "${id}" of ${urls.get(id)}`)
      urls.set(id, place)
      operations.push({
        id,
        method,
        url,
        access: config?.access ?? 'admin',
        capability: config?.capability,
        prefers: config?.prefers,
        // Checked by the compiler where the contract is written (`satisfies Contract`).
        contract: schema as unknown as Contract,
        cost: config?.cost ?? 1,
        hidden: schema?.hide === true
      })
    }
    if (faults.length > 0) throw new Error(faults.join('\n'))
  })
}, { name: 'operations' })

/** Without Fastify's own twins: HEAD repeats its GET, OPTIONS is the preflight. */
function methodOf ({ method }: RouteOptions): string | undefined {
  return [method].flat().find((name) => name !== 'HEAD' && name !== 'OPTIONS')
}
