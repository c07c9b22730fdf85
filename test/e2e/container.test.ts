import { statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test as base } from 'vitest'
import { freePort, installed, root, run, skipped, temporary, until } from './processes.ts'

const image = 'localhost/muxi-api:e2e'
const cgroups2 = 0x63677270
const env = { ...process.env, ...((await statfs('/sys/fs/cgroup')).type !== cgroups2 && { CONTAINERS_CONF: join(root, 'test/e2e/containers.conf') }) }
/** As tight as the server allows. */
const tight = ['--read-only', '--cap-drop=all', '--security-opt=no-new-privileges', '--memory=256m']

async function podman (...args: string[]): Promise<string> {
  return (await run('podman', ['--log-level=fatal', ...args], { env, maxBuffer: 1 << 24 })).stdout.trim()
}

interface Container { id: string, url: string }
interface Fixtures { start: (...command: string[]) => Promise<Container> }

/** Starts containers of the image and removes them. */
const test = base.extend<Fixtures>({
  start: async ({}, use) => {
    const ids: string[] = []
    await use(async (...command) => {
      const port = await freePort()
      const id = await podman('run', '--detach', ...tight, `--publish=127.0.0.1:${port}:8000`, image, ...command)
      ids.push(id)
      const url = `http://127.0.0.1:${port}`
      await until(async () => await fetch(`${url}/health`).then(({ ok }) => ok, () => false))
      return { id, url }
    })
    for (const id of ids) await podman('rm', '--force', '--time=0', id)
  }
})

const missing = !installed('podman')
  ? 'there is no podman'
  : await run(join(root, 'test/e2e/base-image.sh'), { env }).then(() => undefined, ({ stderr }: { stderr: string }) => stderr)

describe.skipIf(skipped(missing))('the image', async () => {
  // Skipped or not, this is run.
  if (missing === undefined) {
    // Without the format the health check would be left out.
    await podman('build', '--quiet', '--pull=never', '--format=docker', `--tag=${image}`, root)
  }

  test('holds what runs and nothing else', async () => {
    const files = await podman('run', '--rm', '--entrypoint=sh', image, '-c', 'ls -A . dist && ls node_modules | grep -cE "^(typescript|vitest|eslint|autocannon)$" || true')
    const size = Number(await podman('image', 'inspect', '--format={{.Size}}', image)) - Number(await podman('image', 'inspect', '--format={{.Size}}', 'docker.io/library/node:24-slim'))
    process.stderr.write(`image: ${Math.round(size / 1e6)} MB over its base\n`)

    expect(files).not.toMatch(/\b(test|bench|scripts)\b/)
    expect(files).toMatch(/\n0$/)
    expect(size).toBeLessThan(80e6)
  })

  test('serves as an ordinary user on a read-only root, and says that it is healthy', async ({ start }) => {
    const { id, url } = await start('dev')
    await until(async () => (await fetch(`${url}/health/ready`)).ok)

    expect(await podman('exec', id, 'id', '-un')).toBe('node')
    await expect(podman('exec', id, 'touch', '/app/x')).rejects.toThrow('Read-only')
    await podman('healthcheck', 'run', id)
  })

  test('is alive but not ready without a Core', async ({ start }) => {
    const { id, url } = await start()

    expect((await fetch(`${url}/health`)).status).toBe(200)
    expect((await fetch(`${url}/health/ready`)).status).toBe(503)
    await podman('healthcheck', 'run', id)
  })

  test.for([['start'], ['dev']])('ends with 0 within two seconds of SIGTERM: %s', async (command, { start }) => {
    const { id } = await start(...command)
    const begun = performance.now()
    await podman('stop', '--time=10', id)
    const ms = performance.now() - begun

    expect(await podman('inspect', '--format={{.State.ExitCode}}', id)).toBe('0')
    expect(ms).toBeLessThan(2_000)
  })

  test('takes commands, settings from the environment and a file', async () => {
    await using folder = await temporary()
    const file = join(folder.path, 'muxi-api.yaml')
    await writeFile(file, 'api:\n  rate_limit: 7\n', { mode: 0o644 })
    const shown = await podman('run', '--rm', ...tight, '--env=MUXI_CORE_URI=core.internal:3000', `--volume=${file}:/app/muxi-api.yaml:ro`, image, 'config')

    expect(shown).toMatch(/^core\.uri +http:\/\/core\.internal:3000 +environment/m)
    expect(shown).toMatch(/^api\.host +0\.0\.0\.0 +environment/m)
    expect(shown).toMatch(/^api\.rate_limit +7 +file/m)
  })
})
