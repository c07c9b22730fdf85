import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect } from 'vitest'
import { parse } from 'yaml'
import { loadConfig, type Config } from '../../config.ts'
import { test } from '../app.ts'
import { fileOf, objectOf, type AdapterRules, type Autoscaler, type Deployment, type NetworkPolicy } from './manifests.ts'

const { spec: pod } = objectOf<Deployment>('kubernetes/base/deployment.yaml').spec.template
const [container] = pod.containers
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }

/** Stands for the volumes of a pod. */
const folder = mkdtempSync(join(tmpdir(), 'muxi-api-'))
const secrets = { core_admin_key: 'sk_muxi_admin_1', core_client_key: 'sk_muxi_user_1', redis_url: 'redis://redis:6379/0', secret: 'x'.repeat(32) }
for (const [name, value] of Object.entries(secrets)) writeFileSync(join(folder, name), value)
afterAll(() => { rmSync(folder, { recursive: true }) })

/** The settings that a pod starts with: its variables, its file, its secrets. */
function settingsOf (settings: string): Readonly<Config> {
  const file = join(folder, 'muxi-api.yaml')
  writeFileSync(file, settings.replaceAll('/run/secrets/muxi-api', folder))
  const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value]))
  return loadConfig({ env: { ...env, MUXI_API_CONFIG: env.MUXI_API_CONFIG!.replace('/etc/muxi-api/', `${folder}/`) }, cwd: folder }).config
}

const config = settingsOf(fileOf('kubernetes/base/muxi-api.yaml'))

describe('the Deployment', () => {
  test('has settings that the server takes, with every secret from a file', () => {
    expect(config.core).toMatchObject({ uri: 'http://muxi-core:3000', admin_key: secrets.core_admin_key, client_key: secrets.core_client_key })
    expect(config.api).toMatchObject({ host: '0.0.0.0', redis_url: secrets.redis_url, secret: secrets.secret })
    expect(settingsOf(fileOf('kubernetes/example/muxi-api.yaml')).api.public_url).toBe('https://muxi.example.com')
  })

  test('names the port that the server listens on', () => {
    expect(container.ports).toEqual([expect.objectContaining({ name: 'http', containerPort: config.api.port })])
    for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) expect(probe.httpGet.port).toBe('http')
  })

  test('asks what the server answers: alive even while it is not ready', async ({ app, core }) => {
    await core.close()
    await app.core.check()
    const codes = await Promise.all([container.startupProbe, container.livenessProbe, container.readinessProbe].map(async ({ httpGet: { path } }) => (await app.inject(path)).statusCode))

    expect(codes).toEqual([200, 200, 503])
  })

  test('asks what says ready while the Core is there', async ({ app }) => {
    expect((await app.inject(container.readinessProbe.httpGet.path)).statusCode).toBe(200)
  })

  test('waits longer for the end than the balancer and the drain take', () => {
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(container.lifecycle.preStop.sleep.seconds + config.api.drain_timeout_ms / 1_000 + 10)
    // Balancers outside of the cluster hear of it last.
    expect(container.lifecycle.preStop.sleep.seconds).toBeGreaterThanOrEqual(5)
  })

  test('runs the version of this tree, and so does the chart', () => {
    const chart = objectOf('helm/muxi-api/Chart.yaml')

    expect(container.image).toBe(`muxi-api:${version}`)
    expect(chart).toMatchObject({ version, appVersion: version })
  })
})

test('the chart has the settings of the base, and the address follows from the host', () => {
  const { host, config: { core, api }, secret, preStopSeconds } = objectOf<{ host: string, config: { core: object, api: object }, secret: string, preStopSeconds: number }>('helm/muxi-api/values.yaml')

  expect({ core, api: { public_url: `https://${host}`, ...api } }).toEqual(parse(fileOf('kubernetes/base/muxi-api.yaml')))
  expect({ secret, preStopSeconds }).toEqual({ secret: 'muxi-api-secrets', preStopSeconds: container.lifecycle.preStop.sleep.seconds })
})

test('the network lets the server reach its Core and its Redis', () => {
  const { spec } = objectOf<NetworkPolicy>('kubernetes/base/network-policy.yaml')
  const ports = spec.egress.flatMap(({ ports }) => ports.map(({ port }) => port))

  expect(ports).toEqual(expect.arrayContaining([config.core.uri, secrets.redis_url].map((url) => Number(new URL(url).port))))
})

test('the metric that instances are counted by is made of figures that the server has', ({ app }) => {
  const { spec: { metrics } } = objectOf<Autoscaler>('kubernetes/components/autoscaling/autoscaler.yaml')
  const rule = objectOf<AdapterRules>('kubernetes/prometheus-adapter.yaml').rules.custom[0]!
  const names = `${rule.seriesQuery} ${rule.metricsQuery}`.match(/muxi_\w+/g)!

  expect(metrics.flatMap(({ pods }) => pods?.metric.name ?? [])).toEqual([rule.name.as])
  expect(names).toHaveLength(3)
  for (const name of names) expect(app.metrics.registry.getSingleMetric(name)).toBeDefined()
})

test('what an operator has to make is the keys of the files that the settings name', () => {
  const named = [...fileOf('kubernetes/base/muxi-api.yaml').matchAll(/\/run\/secrets\/muxi-api\/(\w+)/g)].map(([, name]) => name!)
  const page = readFileSync('docs/operate/kubernetes.md', 'utf8')

  expect(named).toEqual(Object.keys(secrets))
  for (const text of [page, fileOf('helm/muxi-api/templates/NOTES.txt')]) expect([...text.matchAll(/--from-file=(\w+)/g)].map(([, name]) => name)).toEqual(expect.arrayContaining(named))
})
