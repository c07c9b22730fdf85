import fp from 'fastify-plugin'
import type { FastifyReply } from 'fastify'
import { pageFor, policy } from './page.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** Sends the page that says how MCP hosts are set up for this server. */
    hosts: () => FastifyReply
  }
}

/** Says to people how their MCP hosts are set up, by the address that they reach this server under. */
export default fp(async (app) => {
  app.decorateReply('hosts', function (this: FastifyReply) {
    const { request } = this
    const { release, hasIssuer } = request.server
    const base = request.address()
    return this
      .header('content-security-policy', policy)
      .type('text/html; charset=utf-8')
      .send(pageFor({ base, mcp: `${base}/mcp`, release, hasIssuer }))
  })
}, { name: 'hosts', dependencies: ['discovery', 'security'] })
