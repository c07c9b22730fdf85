import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startTestCore, type TestCore } from '../testing.ts'

const run = promisify(execFile)
let core: TestCore
beforeEach(async () => { core = await startTestCore() })
afterEach(async () => { await core.close() })

async function ask (token: string, ms = 1_000): Promise<{ status: number, text: string }> {
  const answer = await fetch(`${core.settings.MUXI_CORE_URI}/v1/auth/introspect`, {
    method: 'POST', headers: { 'x-muxi-admin-key': core.adminKey, 'content-type': 'application/x-www-form-urlencoded' }, body: `token=${token}`, signal: AbortSignal.timeout(ms)
  })
  return { status: answer.status, text: await answer.text() }
}

describe('a Core for tests', () => {
  test('says yes and no as it is told', async () => {
    core.yes('a', { scope: 'admin', sub: 'ada', exp: 4_000_000_000 })
    const [yes, no] = [await ask('a'), await ask('b')]
    core.no('a')

    expect([yes, no, await ask('a')].map(({ text }) => JSON.parse(text) as unknown)).toEqual([{ active: true, scope: 'admin', sub: 'ada', exp: 4_000_000_000 }, { active: false }, { active: false }])
    expect(core.asked).toBe(3)
  })

  test('is silent, late, garbled, failing and away, one at a time, until it is healed', async () => {
    core.silent()
    await expect(ask('a', 100)).rejects.toThrow('timeout')
    core.late(100)
    const began = performance.now()
    await ask('a')
    expect(performance.now() - began).toBeGreaterThan(95)
    core.garbage('role')
    expect((await ask('a')).text).toContain('superadmin')
    core.garbage()
    expect((await ask('a')).text).toContain('<')
    core.failing(503)
    expect((await ask('a')).status).toBe(503)
    core.failing(0)
    await expect(ask('a')).rejects.toThrow('fetch failed')
    core.heal()
    await core.away()
    await expect(ask('a')).rejects.toThrow('fetch failed')
    await core.back()

    expect((await ask(core.userKey)).text).toContain('"active":true')
  })
})

test('the example of the guide runs as it stands', async () => {
  const guide = await readFile('docs/guides/embedding.md', 'utf8')
  const example = guide.split('```js\n').at(-1)!.split('```')[0]!
  // Where the package is installed, as for anybody else.
  const folder = await mkdtemp(join(tmpdir(), 'muxi-api-'))
  await mkdir(join(folder, 'node_modules'))
  await symlink(process.cwd(), join(folder, 'node_modules/muxi-api'))
  await writeFile(join(folder, 'example.mjs'), example)
  // Of what runs this test nothing is passed on: it would be taken for the child's own.
  const { stdout } = await run(process.execPath, ['--test', '--test-reporter=tap', join(folder, 'example.mjs')], { env: { PATH: process.env.PATH } }).finally(async () => { await rm(folder, { recursive: true }) })

  expect(stdout).toContain('# pass 2')
  expect(stdout).toContain('# fail 0')
})
