import { chmod, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test as base } from 'vitest'
import { parse, stringify } from 'yaml'
import { startTestCore, type TestCore } from '../../../testing.ts'
import { fileOf, objectOf, type Autoscaler, type Deployment } from '../../deploy/manifests.ts'
import { load } from '../load.ts'
import { OwnRedis, redisMissing } from '../own-redis.ts'
import { freePort, installed, root, run, skipped, temporary, until } from '../processes.ts'
import { StreamReader } from '../stream-reader.ts'

const image = 'localhost/muxi-api:e2e'
const cgroups2 = 0x63677270
const env = { ...process.env, ...((await statfs('/sys/fs/cgroup')).type !== cgroups2 && { CONTAINERS_CONF: join(root, 'test/e2e/containers.conf') }) }

async function podman (...args: string[]): Promise<string> {
  return (await run('podman', ['--log-level=fatal', ...args], { env, maxBuffer: 1 << 24 })).stdout.trim()
}

async function logsOf (id: string): Promise<string> {
  const { stdout, stderr } = await run('podman', ['logs', '--tail=20', id], { env })
  return stdout + stderr
}

interface Pod { url: string, id: string }
interface Fixtures { core: TestCore, redis: OwnRedis, pod: Pod }

const test = base.extend<Fixtures>({
  core: async ({}, use) => {
    const core = await startTestCore()
    await use(core)
    await core.close()
  },
  redis: async ({}, use) => {
    const redis = await OwnRedis.start()
    await use(redis)
    await redis.kill()
  },
  /** The Deployment of the base as one pod on the network of this machine, in front of a Core and a Redis of the test. */
  pod: async ({ core, redis }, use) => {
    await using folder = await temporary()
    const port = await freePort()
    const file = join(folder.path, 'pod.yaml')
    const secrets = { core_admin_key: core.adminKey, core_client_key: core.userKey, redis_url: `redis://127.0.0.1:${redis.port}`, secret: 'a-secret-of-at-least-thirty-two-characters' }
    for (const [name, value] of Object.entries(secrets)) await writeFile(join(folder.path, name), value)
    await chmod(folder.path, 0o755)
    await writeFile(file, objectsFor(core, folder.path, port))
    await podman('play', 'kube', '--log-driver=k8s-file', file)
    const id = 'muxi-api-pod-0-muxi-api'
    const url = `http://127.0.0.1:${port}`
    try {
      await until(async () => await fetch(`${url}/health/ready`).then(({ ok }) => ok, () => false)).catch(async (cause: unknown) => {
        throw new Error(`the pod is not ready:\n${await logsOf(id)}`, { cause })
      })
      await use({ url, id })
    } finally {
      await podman('play', 'kube', '--down', file)
      await podman('volume', 'rm', 'muxi-api')
    }
  }
})

/** The base with what only this machine knows: where the image, the Core and the secrets are, and a free port. */
function objectsFor (core: TestCore, secrets: string, port: number): string {
  const deployment = objectOf<Deployment>('kubernetes/base/deployment.yaml')
  const { containers: [container], volumes } = deployment.spec.template.spec
  Object.assign(deployment.spec.template.spec, { hostNetwork: true })
  const config = parse(fileOf('kubernetes/base/muxi-api.yaml')) as Record<'core' | 'api', Record<string, unknown>>
  deployment.spec.replicas = 1
  container.image = image
  container.env.push({ name: 'MUXI_API_HOST', value: '127.0.0.1' })
  // Secrets as podman 4 mounts them are still in base64.
  volumes.splice(volumes.findIndex(({ secret }) => secret !== undefined), 1, { name: 'secrets', hostPath: { path: secrets, type: 'Directory' } })
  // On the machine's own network there is no port to pass on, nor a name for one.
  container.ports = []
  for (const { httpGet } of [container.startupProbe, container.livenessProbe, container.readinessProbe]) httpGet.port = String(port)
  config.core.uri = core.settings.MUXI_CORE_URI
  Object.assign(config.api, { port, rate_limit: 0, rate_limit_subject: 0, streams_per_caller: 10_000 })
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'muxi-api' }, data: { 'muxi-api.yaml': stringify(config) } },
    deployment
  ].map((object) => stringify(object)).join('---\n')
}

const missing = redisMissing() ?? (!installed('podman')
  ? 'there is no podman'
  : await run(join(root, 'test/e2e/base-image.sh'), { env }).then(() => undefined, ({ stderr }: { stderr: string }) => stderr))

describe.skipIf(skipped(missing))('the pod of the Deployment', async () => {
  if (missing === undefined) await podman('build', '--quiet', '--pull=never', '--format=docker', `--tag=${image}`, root)

  test('is ready as nobody in particular, and writes nowhere', async ({ pod: { id } }) => {
    expect(await podman('exec', id, 'id', '-u')).toBe('10001')
    await expect(podman('exec', id, 'touch', '/app/x')).rejects.toThrow('Read-only')
    expect(JSON.parse(await podman('inspect', '--format={{json .HostConfig}}', id))).toMatchObject({ ReadonlyRootfs: true, Memory: 256 * 2 ** 20, SecurityOpt: ['no-new-privileges'] })
    expect(await podman('inspect', '--format={{.EffectiveCaps}} {{.BoundingCaps}}', id)).toBe('[] []')
  })

  test('keeps within its memory with as many streams as the autoscaler gives it, and calls beside them', async ({ pod: { id, url }, core }) => {
    const { spec: { metrics } } = objectOf<Autoscaler>('kubernetes/components/autoscaling/autoscaler.yaml')
    const count = Number(metrics.find(({ pods }) => pods !== undefined)!.pods!.target.averageValue)
    const readers = await Promise.all(Array.from({ length: count }, async () => (await StreamReader.open(url, core.adminKey, 'level=error')).read()))
    const answers = await load(url, { path: '/api/v1/agents', key: core.adminKey, amount: 20_000, rate: 20_000 })
    const figures = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${core.adminKey}` } })).text()
    for (const reader of readers) reader.close()
    const peak = Number(/VmHWM:\s+(\d+)/.exec(await podman('exec', id, 'cat', '/proc/1/status'))![1]) / 1_024
    process.stderr.write(`pod: ${Math.round(peak)} MiB at most\n`)

    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    expect([...figures.matchAll(/^muxi_api_sse_streams\{.*\} (\d+)$/gm)].reduce((sum, [, open]) => sum + Number(open), 0)).toBe(count)
    expect(peak).toBeLessThan(240)
    expect(await podman('inspect', '--format={{.RestartCount}} {{.State.OOMKilled}}', id)).toBe('0 false')
  })
})
