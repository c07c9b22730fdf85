import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { Config, settings } from '../../schemas/config.ts'
import { fileOf } from './manifests.ts'

const run = promisify(execFile)
const unit = fileOf('systemd/muxi-api.service')
const valuesOf = (name: string) => [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value!)
const hasSystemd = await run('systemd-analyze', ['--version']).then(() => true, () => false)

test('the unit names settings that exist, each with a credential that it loads', () => {
  const given = valuesOf('Environment').flatMap((line) => line.split(' ')).map((text) => text.split('='))
  const known = settings.map(({ file }) => file?.env)
  const loaded = valuesOf('LoadCredential').map((text) => `%d/${text.split(':')[0]!}`)

  expect(given.map(([name]) => name).filter((name) => !known.includes(name))).toEqual([])
  expect(given.map(([, value]) => value)).toEqual(loaded)
})

test('the unit waits longer for the end than the drain takes', () => {
  const seconds = Number.parseInt(valuesOf('TimeoutStopSec')[0]!)

  expect(seconds).toBeGreaterThanOrEqual(Config.properties.api.properties.drain_timeout_ms.default as number / 1_000 + 10)
})

test.skipIf(!hasSystemd)('systemd finds nothing wrong with the unit, and little exposed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'muxi-api-'))
  const file = join(folder, 'muxi-api.service')
  // What it starts need not be where this test runs.
  await writeFile(file, unit.replace('/usr/bin/node', process.execPath))
  const { stderr } = await run('systemd-analyze', ['verify', '--man=no', file])
  await run('systemd-analyze', ['security', '--offline=true', '--threshold=20', file])
  await rm(folder, { recursive: true })

  expect(stderr).toBe('')
})
