import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startProxy } from '../../conformance/proxy.ts'
import { faultsOf, requiredBy, runScenario, taskScenarios, type Revision } from '../../conformance/suite.ts'
import { install, keys } from '../oracle/instances.ts'
import { proxyMissing } from '../oracle/proxy.ts'
import { redisMissing } from '../own-redis.ts'
import { root, skipped } from '../processes.ts'

const oldNode = Number(process.versions.node.split('.')[0]) < 22 ? 'the conformance suite needs Node 22' : undefined

describe.skipIf(skipped(redisMissing() ?? proxyMissing() ?? oldNode))('the official suite', () => {
  test.for<Revision>(['2025-11-25', '2026-07-28'])('passes at two instances without stickiness, of which one is killed and replaced (%s)', { timeout: 300_000 }, async (revision) => {
    await using installation = await install(2, { MUXI_API_RATE_LIMIT_MCP: '0' }, [join(root, 'dist/test/conformance/instance.js')])
    const { instances: [first, second], proxy } = installation
    const entry = await startProxy(Number(new URL(proxy.url).port), keys.admin)
    const scenarios = [...await requiredBy(revision), ...(revision === '2026-07-28' ? taskScenarios : [])]
    const faults: string[] = []
    try {
      for (const [i, scenario] of scenarios.entries()) {
        // Each of them is gone for a third of the scenarios, the other serves alone; between that both do.
        if (i === Math.floor(scenarios.length / 6)) await first!.kill()
        if (i === Math.floor(scenarios.length / 2)) {
          await first!.start()
          await second!.kill()
        }
        if (i === Math.floor(scenarios.length * 5 / 6)) await second!.start()
        faults.push(...faultsOf(await runScenario(entry.url, revision, scenario)).map((fault) => `${scenario}: ${fault}`))
      }
    } finally {
      await entry.close()
    }

    expect(faults).toEqual([])
    expect(scenarios.length).toBeGreaterThan(29)
  })
})
