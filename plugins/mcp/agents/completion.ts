import type { FastifyRequest } from 'fastify'
import type { Feature } from '../feature.ts'
import { pageOfAgents } from './inner.ts'

/** As many as the protocol allows in one answer. */
const most = 100
const mostPages = 10

/** Completes the ids of agents, for callers who may list them. Other arguments are free. */
export const completion: Feature = {
  install: (server, request) => {
    server.setRequestHandler('completion/complete', async ({ params: { ref, argument: { name, value } } }) => {
      const isAgent = ref.type === 'ref/resource' && name === 'agent_id'
      const values = isAgent ? await agentsLike(request, value.toLowerCase()) : []
      return { completion: { values: values.slice(0, most), hasMore: values.length > most } }
    })
  }
}

async function agentsLike (request: FastifyRequest, start: string): Promise<string[]> {
  const found: string[] = []
  let cursor: string | undefined
  for (let page = 0; page < mostPages && found.length <= most; page++) {
    const { agents, nextCursor } = await pageOfAgents(request, cursor)
    found.push(...agents.map(({ id }) => id).filter((id) => id.toLowerCase().startsWith(start)))
    if (nextCursor === undefined) break
    cursor = nextCursor
  }
  return found
}
