import { mkdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test as base } from 'vitest'
import { watchFiles } from '../../../plugins/reload/watch.ts'
import { folder } from '../../fixtures/folder.ts'

const everyMs = 20
interface Fixtures { folder: string, watch: (...paths: string[]) => { changes: number } }

const test = base.extend<Fixtures>({
  folder,
  watch: async ({}, use) => {
    const ends: (() => void)[] = []
    await use((...paths) => {
      const seen = { changes: 0 }
      ends.push(watchFiles(() => paths, () => { seen.changes++ }, everyMs))
      return seen
    })
    for (const end of ends) end()
  }
})

const soon = async (seen: { changes: number }, changes: number) => { await expect.poll(() => seen.changes, { interval: 10 }).toBe(changes) }

test('a file that is written, replaced by another, removed and made again is a change each time', async ({ folder, watch }) => {
  const path = join(folder, 'some.yaml')
  writeFileSync(path, '1')
  const seen = watch(path)
  writeFileSync(path, '22')
  await soon(seen, 1)
  writeFileSync(`${path}~`, '33')
  renameSync(`${path}~`, path)
  await soon(seen, 2)
  unlinkSync(path)
  await soon(seen, 3)
  writeFileSync(path, '44')

  await soon(seen, 4)
})

test('so is a link further up that is turned to another folder, as Kubernetes does', async ({ folder, watch }) => {
  for (const name of ['one', 'two']) {
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'key'), 'same')
  }
  symlinkSync('one', join(folder, '..data'))
  symlinkSync(join('..data', 'key'), join(folder, 'key'))
  const seen = watch(join(folder, 'key'))
  symlinkSync('two', join(folder, '..next'))
  renameSync(join(folder, '..next'), join(folder, '..data'))

  await soon(seen, 1)
})

test('writes that follow each other are one change, told after the last', async ({ folder, watch }) => {
  const path = join(folder, 'some.yaml')
  const seen = watch(path)
  for (let size = 1; size <= 60; size++) {
    writeFileSync(path, 'x'.repeat(size))
    await sleep(4)
  }
  const during = seen.changes
  await soon(seen, during + 1)
  await sleep(5 * everyMs)

  expect(during).toBeLessThan(3)
  expect(seen.changes).toBe(during + 1)
})

test('without a change nothing is told, nor of a file that is new to the list', async ({ folder, watch }) => {
  const paths = [join(folder, 'some.yaml')]
  writeFileSync(join(folder, 'new.pem'), 'x')
  const seen = { changes: 0 }
  const end = watchFiles(() => paths, () => { seen.changes++ }, everyMs)
  paths.push(join(folder, 'new.pem'))
  await sleep(5 * everyMs)
  const before = seen.changes
  writeFileSync(join(folder, 'new.pem'), 'yy')

  await soon(seen, 1)
  expect(before).toBe(0)
  end()
})
