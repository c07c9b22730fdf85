import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import { promisify } from 'node:util'
import { describe, expect } from 'vitest'
import { keys } from '../app.ts'
import { listening } from '../core/client.ts'
import { type Run, test } from './run.ts'

const sh = async (line: string, env: Record<string, string> = {}) => (await promisify(execFile)('sh', ['-c', line], { env: { PATH: process.env.PATH, ...env } })).stdout
const answers = async (uri: string) => await fetch(`${uri}/v1/health`).then(({ ok }) => ok, () => false)
const splashed = async (run: Run) => { await expect.poll(() => run.stderr, { timeout: 30_000 }).toContain('Explore: ') }
const key = (run: Run, level: string) => new RegExp(`${level} key: +(\\S+)`).exec(run.stderr)?.[1]
const calls = (run: Run) => [...run.stderr.matchAll(/^ {2}(curl .*)$/gm)].map(([, line = '']) => line)

interface Dev { run: Run, uri: string, port: number }

const started = test.extend<{ start: (env?: Record<string, string>) => Promise<Dev> }>({
  start: async ({ run, freePort }, use) => {
    await use(async (env = {}) => {
      const [corePort, port] = [await freePort(), await freePort()]
      const uri = `http://127.0.0.1:${corePort}`
      const dev = run(['dev'], { MUXI_CORE_URI: uri, MUXI_API_PORT: String(port), ...env })
      await splashed(dev)
      return { run: dev, uri, port }
    })
  }
})

started('dev starts a Core and the server, and what it prints works when pasted', async ({ start }) => {
  const { run, uri, port } = await start()
  const [chat = '', agents = ''] = calls(run)
  await expect.poll(async () => (await fetch(`http://127.0.0.1:${port}/health/ready`)).status).toBe(200)

  expect(run.stderr).toContain(`Running on: http://127.0.0.1:${port}`)
  expect(run.stderr).toContain('(embedded, built-in model)')
  expect(key(run, 'User')).toMatch(/^sk_muxi_user_[A-Za-z0-9]{24}$/)
  expect(key(run, 'Admin')).toMatch(/^sk_muxi_admin_[A-Za-z0-9]{24}$/)
  expect(JSON.parse(await sh(chat))).toMatchObject({ agent_id: 'analyst', agent_response: { content: '6 * 7 = 42.' } })
  expect(JSON.parse(await sh(agents))).toMatchObject({ agents: [{ id: 'greeter' }, { id: 'analyst' }] })
  expect(await answers(uri)).toBe(true)
  const { code } = await run.end('SIGTERM')

  expect(code).toBe(0)
  expect(run.lines.length).toBeGreaterThan(3)
  expect(run.stdout).not.toMatch(/[╭│█]|sk_muxi/)
  expect(run.stderr.split('\n').filter((line) => /^[│├╭╰]/.test(line)).every((line) => [40, 72].includes([...line].length + Number(line.includes('⚡'))))).toBe(true)
  await expect.poll(async () => await answers(uri), { timeout: 15_000 }).toBe(false)
})

started('keys that are set are used and named, not shown; the Core may stand below a path', async ({ start, freePort }) => {
  const uri = `http://localhost:${await freePort()}/api/my-formation`
  const env = { MUXI_CORE_URI: uri, MUXI_DEV_USER_KEY: 'sk_my_own_user_key', MUXI_DEV_ADMIN_KEY: 'sk_my_own_admin_key' }
  const { run } = await start(env)
  const [chat = '', agents = ''] = calls(run)

  expect(await answers(uri)).toBe(true)
  expect(run.stderr).toContain('[user provided]')
  expect(run.stderr + run.stdout).not.toContain('sk_my_own')
  expect(JSON.parse(await sh(chat, env))).toMatchObject({ agent_response: { content: '6 * 7 = 42.' } })
  expect(JSON.parse(await sh(agents, env))).toMatchObject({ pagination: { total: 2 } })
})

describe('the Core of dev', () => {
  started('ends when dev is killed, and does not meet that of another dev', async ({ start }) => {
    const [one, other] = await Promise.all([start(), start()])
    expect(key(one.run, 'User')).not.toBe(key(other.run, 'User'))
    await one.run.end('SIGKILL')

    await expect.poll(async () => await answers(one.uri), { timeout: 15_000 }).toBe(false)
    expect(JSON.parse(await sh(calls(other.run)[0]!))).toMatchObject({ agent_response: { content: '6 * 7 = 42.' } })
    await expect(sh(calls(one.run)[0]!)).rejects.toThrow()
  })

  test('is not started where one answers already', async ({ run, core }) => {
    const dev = run(['dev'], { MUXI_CORE_URI: core.url, MUXI_API_PORT: '0', MUXI_CORE_CLIENT_KEY: keys.user })
    const url = await dev.url()
    await expect.poll(async () => (await fetch(`${url}/health/ready`)).status).toBe(200)
    await dev.end('SIGTERM')

    expect(dev.stderr).toContain('(was running already)')
    expect(dev.stderr).toContain(core.url)
    expect(dev.stderr + dev.stdout).not.toContain('sk_muxi')
    expect(await answers(core.url)).toBe(true)
  })
})

describe('dev ends with 1 and one line', () => {
  test('when the server\'s port is taken, and takes its Core along', async ({ run, freePort }) => {
    const taken = createServer()
    const { port } = new URL(await listening(taken))
    const uri = `http://127.0.0.1:${await freePort()}`
    const { code, stderr } = await run(['dev'], { MUXI_CORE_URI: uri, MUXI_API_PORT: port }).end()
    taken.close()

    expect({ code, stderr }).toEqual({ code: 1, stderr: `muxi-api: port ${port} on 127.0.0.1 is taken: stop what listens there, or choose another with --port\n` })
    await expect.poll(async () => await answers(uri), { timeout: 15_000 }).toBe(false)
  })

  test('when something else has the Core\'s port', async ({ run }) => {
    const taken = createServer((req, res) => { res.writeHead(404).end() })
    const uri = await listening(taken)
    const { code, stderr } = await run(['dev'], { MUXI_CORE_URI: uri, MUXI_API_PORT: '0' }).end()
    taken.close()

    expect({ code, stderr }).toEqual({ code: 1, stderr: `muxi-api: port ${new URL(uri).port} is taken by something that is no MUXI Core: set another with --core-uri\n` })
  })

  test('when the Core\'s address is not on this machine', async ({ run }) => {
    const { code, stderr } = await run(['dev'], { MUXI_CORE_URI: 'https://127.0.0.1:1', MUXI_API_PORT: '0' }).end()

    expect(code).toBe(1)
    expect(stderr).toMatch(/^muxi-api: no MUXI Core answers at https:\/\/127\.0\.0\.1:1, [^\n]+\n$/)
  })
})
