import { createServer } from 'node:net'
import { describe, expect } from 'vitest'
import { as, keys } from '../app.ts'
import { listening } from '../core/client.ts'
import { type Run, test } from './run.ts'

const own = (uri: string) => ({ MUXI_CORE_URI: uri, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_PORT: '0' })
const get = async (url: string, headers = {}) => {
  const res = await fetch(url, { headers })
  return { status: res.status, headers: res.headers, body: await res.json() as Record<string, any> }
}
const ready = async (run: Run) => { await expect.poll(async () => (await get(`${await run.url()}/health/ready`)).status, { timeout: 20_000, interval: 20 }).toBe(200) }

describe('with the Core away', () => {
  test('it listens, says why it is not ready, and is ready within 2 s of the Core\'s return', async ({ run, core }) => {
    await core.down()
    const server = run(['start'], own(core.url))
    const url = await server.url()
    const away = () => server.lines.filter(({ message }) => message === 'the MUXI Core does not serve')
    await expect.poll(() => away().length, { timeout: 30_000 }).toBeGreaterThan(3)
    const [alive, notReady, agents] = await Promise.all([get(`${url}/health`), get(`${url}/health/ready`), get(`${url}/api/v1/agents`, as('admin'))])
    const back = performance.now()
    await core.up()
    await ready(server)
    const readyAfter = performance.now() - back

    expect(alive).toMatchObject({ status: 200, body: { status: 'ok' } })
    expect(notReady).toMatchObject({ status: 503, body: { status: 'not_ready', checks: { core: 'the MUXI Core cannot be reached (ECONNREFUSED)' } } })
    expect(agents).toMatchObject({ status: 503, body: { error: { code: 'core_unavailable' } } })
    expect(agents.headers.get('retry-after')).toBe('1')
    expect(readyAfter).toBeLessThan(2_000)
    expect(away().slice(0, 4).map(({ level, core: uri, nextCheckMs, attempt }) => [level, uri, nextCheckMs, attempt])).toEqual([250, 500, 1_000, 1_500].map((ms, at) => ['warn', core.url, ms, at + 1]))
    expect((await get(`${url}/api/v1/agents`, as('admin'))).status).toBe(200)
    await expect.poll(() => server.lines).toContainEqual(expect.objectContaining({ message: 'the MUXI Core is there', keys: 'introspection', missing: [] }))
    expect(await server.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
    expect(server.stdout).not.toContain('sk_muxi')
  })

  test('and required, it ends with 1 and names the address', async ({ run, core }) => {
    await core.down()
    const { code, stderr } = await run(['start'], { ...own(core.url), MUXI_CORE_REQUIRED: 'true' }).end()

    expect(code).toBe(1)
    expect(stderr).toBe(`muxi-api: the MUXI Core at ${core.url} does not pass the check: the MUXI Core cannot be reached (ECONNREFUSED)\n`)
  })
})

test('a Core that refuses our key is told by the setting\'s name, nowhere by the key', async ({ run, core }) => {
  const { code, stdout, stderr } = await run(['start'], { ...own(core.url), MUXI_CORE_CLIENT_KEY: 'sk_muxi_user_wrong', MUXI_CORE_REQUIRED: 'true' }).end()

  expect({ code, stderr }).toEqual({ code: 1, stderr: `muxi-api: the MUXI Core at ${core.url} does not pass the check: the MUXI Core refuses MUXI_CORE_CLIENT_KEY\n` })
  expect(stdout).not.toContain('sk_muxi')
})

test('a port that is taken is one line and exit code 1', async ({ run, core }) => {
  const taken = createServer()
  const { port } = new URL(await listening(taken))
  const { code, stderr } = await run(['start'], { ...own(core.url), MUXI_API_PORT: port }).end()
  taken.close()

  expect(code).toBe(1)
  expect(stderr).toBe(`muxi-api: port ${port} on 127.0.0.1 is taken: stop what listens there, or choose another with --port\n`)
})

test('an address that this machine has not is one line and exit code 1', async ({ run, core }) => {
  const { code, stderr } = await run(['start', '--host', '192.0.2.1'], own(core.url)).end()

  expect({ code, stderr }).toEqual({ code: 1, stderr: 'muxi-api: this machine has no address 192.0.2.1: set another with --host\n' })
})

describe('a signal to stop', () => {
  test('ends with 0', async ({ run, core }) => {
    const [one, other] = [run([], own(core.url)), run([], own(core.url))]
    await Promise.all([ready(one), ready(other)])

    expect(await one.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
    expect(await other.end('SIGINT')).toMatchObject({ code: 0, stderr: '' })
    expect(one.lines.at(-1)).toMatchObject({ message: 'stopping' })
  })

  test('lets running requests end, streams included', async ({ run, core }) => {
    const server = run(['start'], own(core.url))
    await ready(server)
    const chat = (path: string) => fetch(`${new URL(path, urlOf(server))}`, {
      method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body: '{"content":"[fake: tokens=20 delay_ms=25]"}'
    })
    const [plain, stream] = [chat('/api/v1/chat'), chat('/api/v1/chat/stream')]
    await expect.poll(() => core.requests.size).toBe(2)
    server.process.kill('SIGTERM')

    expect(await (await plain).json()).toMatchObject({ agent_response: { content: expect.stringMatching(/ w20$/) } })
    expect(await (await stream).text()).toMatch(/event: message_end\n.*\n\n$/)
    expect(await server.end()).toMatchObject({ code: 0 })
  })

  test('waits no longer than the setting says', async ({ run, core }) => {
    const server = run(['start'], { ...own(core.url), MUXI_API_DRAIN_TIMEOUT_MS: '300' })
    await ready(server)
    const stuck = fetch(`${urlOf(server)}/api/v1/chat`, {
      method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body: '{"content":"[fake: hang_ms=60000]"}'
    })
    await expect.poll(() => core.requests.size).toBe(1)
    const began = performance.now()
    server.process.kill('SIGTERM')

    await expect(stuck).rejects.toThrow()
    expect(await server.end()).toMatchObject({ code: 0 })
    expect(performance.now() - began).toBeGreaterThan(250)
    expect(performance.now() - began).toBeLessThan(3_000)
    await expect.poll(() => [...core.requests.values()][0]?.status).toBe('cancelled')
  })

  test('twice does not wait', async ({ run, core }) => {
    const server = run(['start'], own(core.url))
    await ready(server)
    fetch(`${urlOf(server)}/api/v1/chat`, {
      method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body: '{"content":"[fake: hang_ms=60000]"}'
    }).catch(() => {})
    await expect.poll(() => core.requests.size).toBe(1)
    server.process.kill('SIGTERM')
    await expect.poll(() => server.stdout).toContain('"stopping"')

    expect(await server.end('SIGTERM')).toMatchObject({ code: 1 })
  })
})

test('without a terminal the log is all there is; the address may be IPv6', async ({ run, core }) => {
  const server = run(['--host', '::1'], { ...own(core.url), MUXI_API_HOST: '127.0.0.1' })
  await ready(server)
  expect(urlOf(server)).toMatch(/^http:\/\/\[::1\]:\d+$/)
  await fetch(`${urlOf(server)}/api/v1/agents`, { headers: as('admin') })
  await server.end('SIGTERM')

  expect(server.stderr).toBe('')
  expect(server.lines.every(({ level, timestamp, service, message }) => [level, timestamp, service, message].every((value) => typeof value === 'string'))).toBe(true)
  expect(server.stdout).not.toMatch(/[╭│█]|sk_muxi/)
})

function urlOf (run: Run): string {
  return /listening on (http:\/\/[^"]+)"/.exec(run.stdout)![1]!
}
