import type { FastifyInstance } from 'fastify'
import type { Changes } from '../changes.ts'
import type { Feature } from '../feature.ts'
import { Catalog } from './catalog.ts'
import { completion } from './completion.ts'
import { tellEffects } from './effects.ts'
import { prompts } from './prompts.ts'
import { resources } from './resources.ts'
import { agentTools } from './tools.ts'

/** What agents have to show beside the operations: their servers' tools, what can be read, and prompts. To be made before the routes are. */
export function agentFeatures (app: FastifyInstance, changes: Changes): Feature[] {
  const catalog = new Catalog(app, changes)
  if (app.config.api.mcp) tellEffects(app, changes, catalog)
  app.addHook('onClose', async () => { catalog.close() })
  return [agentTools(app, catalog), resources, prompts, completion]
}
