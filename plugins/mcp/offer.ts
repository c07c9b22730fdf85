import type { RequestStateCodec } from '@modelcontextprotocol/server'
import type { FastifyInstance } from 'fastify'
import type { Feature } from './feature.ts'
import type { Listing } from './listing.ts'
import type { Tasks } from './tasks/index.ts'
import type { Tool } from './tools.ts'

/** What this server says of itself. */
export interface About { info: { name: string, title: string, version: string }, instructions: string }

/** All that the protocol offers here, to whomever. */
export interface Offer {
  app: FastifyInstance
  about: About
  /** All operations as tools, by name. */
  tools: ReadonlyMap<string, Tool>
  features: readonly Feature[]
  listing: Listing
  requestState: Pick<RequestStateCodec, 'verify'>
  tasks: Pick<Tasks, 'supportOf' | 'call'>
}
