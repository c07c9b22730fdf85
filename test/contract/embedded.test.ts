import { describe, test as base } from 'vitest'
import { buildApp } from '../../app.ts'
import { startEmbeddedCore } from '../../core/embedded/index.ts'
import { configFor, keys, Lines } from '../app.ts'
import { missingAtReal } from '../fixtures/real-core.ts'
import { contract } from './suite.ts'
import type { Target } from './target.ts'

const inFrontOf = (offers: 'all' | 'real') => base.extend<{ target: Target }>({
  target: [async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin, offers })
    const app = await buildApp(configFor(core), new Lines())
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    await app.core.check()
    const model = offers === 'all' ? { provider: 'built-in', model: 'development' } : undefined
    await use({
      url,
      core: core.url,
      keys,
      real: false,
      missing: offers === 'all' ? [] : missingAtReal,
      declared: { agent: 'analyst', model, servers: [], knowledge: [] },
      answering: async () => true
    })
    await app.close()
    await core.close()
  }, { scope: 'file' }]
})
const whole = inFrontOf('all')
const lesser = inFrontOf('real')

describe('in front of an embedded Core', () => { contract(whole) })
describe('in front of an embedded Core without extensions', () => { contract(lesser) })
