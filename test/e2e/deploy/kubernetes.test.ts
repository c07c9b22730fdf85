import { join } from 'node:path'
import { describe, expect, test as base } from 'vitest'
import { root, skipped } from '../processes.ts'
import { kubeMissing, piped, startCluster, type Cluster } from './cluster.ts'
import { helmed, kustomized, kustomizedAt, normalised, parts, type Part } from './rendered.ts'

const test = base.extend<{ cluster: Cluster }>({
  cluster: [async ({}, use) => {
    await using cluster = await startCluster()
    await use(cluster)
  }, { scope: 'file' }]
})

const choices = [[], ...parts.map((part) => [part]), [...parts]].map((chosen: Part[]) => ({ chosen, name: ['base', ...chosen].join(', ') }))
const perPart: Record<Part, number> = { ingress: 2, 'gateway-api': 4, autoscaling: 1, monitoring: 2 }

describe.skipIf(skipped(kubeMissing()))('the objects for Kubernetes', () => {
  test.for(choices)('pass a real one under the restricted policy, without a warning: $name', async ({ chosen }, { cluster }) => {
    const { lines, warnings } = await cluster.dryRun(await kustomized(chosen))

    expect(warnings).toEqual([])
    expect(lines).toHaveLength(6 + chosen.reduce((sum, part) => sum + perPart[part], 0))
  })

  test('pass as the example combines them', async ({ cluster }) => {
    const { lines, warnings } = await cluster.dryRun(await kustomizedAt(join(root, 'deploy/kubernetes/example')))

    expect(warnings).toEqual([])
    expect(lines).toContain('deployment.apps/muxi-api created (server dry run)')
  })

  test('pass as Helm makes them, with everything on', async ({ cluster }) => {
    const { lines, warnings } = await cluster.dryRun(await helmed(parts))

    expect(warnings).toEqual([])
    expect(lines).toHaveLength(15)
  })

  test('would not pass with a fault', async ({ cluster }) => {
    const good = await kustomized(parts)
    const rooted = await cluster.dryRun(good.replace('runAsNonRoot: true', 'runAsNonRoot: false'))

    expect(rooted.warnings.join()).toContain('would violate PodSecurity "restricted:latest"')
    await expect(cluster.dryRun(good.replace('failureThreshold:', 'failureTreshold:'))).rejects.toThrow('unknown field')
    await expect(cluster.dryRun(good.replace('requestRedirect:', 'redirect:'))).rejects.toThrow('unknown field')
    await expect(cluster.dryRun(good.replace('interval: 15s', 'interval: often'))).rejects.toThrow('interval')
  })

  test.for(choices)('are the same from Helm and from kustomize: $name', async ({ chosen }) => {
    expect(normalised(await helmed(chosen))).toEqual(normalised(await kustomized(chosen)))
  })

  test('cannot be made by Helm from values that the chart does not know', async () => {
    await expect(helmed([], '--set=replica=3')).rejects.toThrow('replica')
    await expect(helmed([], '--set=ingress.class=nginx')).rejects.toThrow('class')
  })

  test('wait longer for a pod to end when its settings say so', async () => {
    expect(await helmed([], '--set=config.api.drain_timeout_ms=120500', '--set=preStopSeconds=15')).toContain('terminationGracePeriodSeconds: 156\n')
  })

  test('are found good by kube-score, but for what is so on purpose', async () => {
    const objects = await kustomized(parts)
    // Where it finds something it says so by its exit code, too.
    const { stdout } = await piped('kube-score', ['score', '--ignore-container-cpu-limit', '--output-format=ci', '-'], { input: objects }).catch((error: unknown) => error as { stdout: string })
    const found = stdout.split('\n').filter((line) => /^\[(?:CRITICAL|WARNING)\]/.test(line))
    process.stderr.write(`kube-score: ${stdout.match(/^\[OK\]/gm)?.length ?? 0} good, ${found.length} not\n`)

    expect(found).toEqual([
      // A version never changes, and a pod may start while the registry is away.
      expect.stringContaining('ImagePullPolicy is not set to Always'),
      // The topology spread does it.
      expect.stringContaining('does not have a host podAntiAffinity set')
    ])
  })

  test('are a chart that Helm finds nothing wrong with', async () => {
    const { stdout } = await piped('helm', ['lint', '--strict', join(root, 'deploy/helm/muxi-api')])

    expect(stdout).toContain('0 chart(s) failed')
  })
})
