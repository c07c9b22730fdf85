import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, test as base } from 'vitest'
import { install, keys } from '../oracle/instances.ts'
import { proxyMissing } from '../oracle/proxy.ts'
import { redisMissing } from '../own-redis.ts'
import { installed, root, skipped } from '../processes.ts'
import { venv } from '../venv.ts'
import { browse, Demo, withoutUdp } from './demo.ts'

/** The example in Python, as a process. */
class Robot implements AsyncDisposable {
  told = ''
  #said = ''
  readonly #child: ChildProcess

  constructor (python: string, url: string, args: string[]) {
    this.#child = spawn(python, [join(root, 'examples/python/rtc_peer.py'), '--url', url, ...args], { env: { ...process.env, MUXI_API_KEY: keys.user } })
    this.#child.stdout!.on('data', (chunk: Buffer) => { this.#said += chunk.toString() })
    this.#child.stderr!.on('data', (chunk: Buffer) => { this.told += chunk.toString() })
  }

  get messages (): string[] { return this.#said.split('\n').slice(0, -1) }

  /** The room that it is in. */
  async room (): Promise<string> {
    await expect.poll(() => this.told).toMatch(/in rtc_/)
    return /in (rtc_\S+)/.exec(this.told)![1]!
  }

  say (text: string): void {
    this.#child.stdin!.write(`${text}\n`)
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    if (this.#child.exitCode !== null) return
    this.#child.kill('SIGINT')
    await once(this.#child, 'exit')
  }
}

const test = base.extend<{ url: string, python: string, start: (...args: string[]) => Robot }>({
  url: [async ({}, use) => {
    await using installation = await install(2)
    await use(installation.proxy.url)
  }, { scope: 'file' }],
  python: [async ({}, use) => { await use(join(await venv('webrtc', join(root, 'test/e2e/webrtc/requirements.txt')), 'python')) }, { scope: 'file' }],
  start: async ({ url, python }, use) => {
    const robots: Robot[] = []
    await use((...args) => {
      const robot = new Robot(python, url, args)
      robots.push(robot)
      return robot
    })
    for (const robot of robots) await robot[Symbol.asyncDispose]()
  }
})

describe.skipIf(skipped(redisMissing() ?? proxyMissing() ?? (installed('chromium') ? undefined : 'chromium is not installed')))('the peer in Python', () => {
  test('chats with a page that came before it, and is sent its sound and picture', { timeout: 240_000 }, async ({ url, start }) => {
    await using browser = await browse()
    const ada = await Demo.open(browser, url, { name: 'Ada' })
    const robot = start('--session', await ada.eval('room.id'), '--user', 'robot', '--say', 'hi', '--echo')
    await ada.connected(1)
    await ada.say('hello')

    await expect.poll(async () => await ada.messages()).toEqual(['robothi', 'Youhello', 'robothello'])
    expect(robot.messages).toEqual(['Ada\thello'])
    expect(robot.told).toMatch(/audio of Ada/)
    expect(robot.told).toMatch(/video of Ada/)
  })

  test('chats with a page that comes after it', async ({ url, start }) => {
    await using browser = await browse()
    const robot = start('--user', 'robot')
    const ada = await Demo.open(browser, `${url}/docs/webrtc?session=${await robot.room()}`, { name: 'Ada' })
    await ada.connected(1)
    robot.say('welcome')
    await expect.poll(async () => await ada.messages()).toEqual(['robotwelcome'])
    await ada.say('thanks')

    await expect.poll(() => robot.messages).toEqual(['Ada\tthanks'])
  })

  test('chats with another of its kind', async ({ start }) => {
    const first = start('--user', 'first', '--echo')
    const second = start('--session', await first.room(), '--user', 'second', '--say', 'hello')

    await expect.poll(() => [first.messages, second.messages]).toEqual([['second\thello'], ['first\thello']])
  })

  test('chats over the server with a page that no UDP gets through to', async ({ url, start }) => {
    await using browser = await browse(withoutUdp)
    const ada = await Demo.open(browser, url, { name: 'Ada', query: 'connect_ms=3000' })
    const robot = start('--session', await ada.eval('room.id'), '--user', 'robot', '--echo')
    await expect.poll(async () => (await ada.peers()).length).toBe(1)
    await ada.say('hello')

    await expect.poll(() => robot.messages, { timeout: 40_000 }).toEqual(['Ada\thello'])
    await expect.poll(async () => await ada.messages()).toEqual(['Youhello', 'robothelloover the server'])
  })

  test('says why it cannot join', async ({ start }) => {
    const robot = start('--session', 'rtc_nowhere')

    await expect.poll(() => robot.told).toContain('not_found: no session rtc_nowhere')
  })
})
