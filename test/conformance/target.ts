import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../../app.ts'
import { loadConfig } from '../../config.ts'
import { startEmbeddedCore } from '../../core/embedded/index.ts'
import type { Feature } from '../../plugins/mcp/feature.ts'
import { startProxy } from './proxy.ts'

/** A server as in production, in front of an embedded Core, at an address that needs no key. */
export interface Target extends AsyncDisposable { url: string }

/** Starts one with a feature more, or with its own alone. It listens on loopback, says only what is wrong, and limits nobody. */
export async function startTarget (more?: (app: FastifyInstance) => Feature): Promise<Target> {
  const core = await startEmbeddedCore({ mcpCommands: false, mcpHosts: 'loopback' })
  const env = { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: core.adminKey, MUXI_CORE_CLIENT_KEY: core.userKey, MUXI_API_HOST: '127.0.0.1', MUXI_API_PORT: '0', MUXI_API_RATE_LIMIT: '0', MUXI_API_RATE_LIMIT_MCP: '0', MUXI_API_LOG_LEVEL: 'warn' }
  const app = await buildApp(loadConfig({ env, cwd: '/nonexistent' }).config)
  if (more !== undefined) app.mcp.features.push(more(app))
  await app.listen({ host: '127.0.0.1', port: 0 })
  await app.core.check()
  const proxy = await startProxy((app.server.address() as AddressInfo).port, core.adminKey)
  return {
    url: proxy.url,
    [Symbol.asyncDispose]: async () => {
      await proxy.close()
      await app.close()
      await core.close()
    }
  }
}
