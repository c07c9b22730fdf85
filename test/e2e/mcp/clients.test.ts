import { beforeAll, test as base } from 'vitest'
import { buildApp } from '../../../app.ts'
import { startEmbeddedCore } from '../../../core/embedded/index.ts'
import { configFor, keys, Lines } from '../../app.ts'
import type { Target } from '../../contract/target.ts'
import { clientCases } from './cases.ts'
import { clients } from './clients.ts'
import { prepare } from './prepare.ts'

const test = base.extend<{ target: Target }>({
  target: [async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    const app = await buildApp(configFor(core), new Lines())
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    await app.core.check()
    await use({ url, core: core.url, keys, real: false, missing: [], declared: { agent: 'analyst', model: undefined, servers: [], knowledge: [] }, answering: async () => true })
    await app.close()
    await core.close()
  }, { scope: 'file' }]
})

beforeAll(prepare)
clientCases(test, clients)
