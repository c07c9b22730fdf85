import { expect, test as base, vi, type Mock } from 'vitest'
import type { Caller } from '../../../core/credentials.ts'
import type { Verdict } from '../../../core/keys.ts'
import { ApiError } from '../../../errors.ts'
import { holdOpen, type HeldOpen } from '../../../plugins/auth/held.ts'
import type { Yes } from '../../../plugins/auth/verdicts.ts'

const caller = (digest: string, more: Partial<Caller> = {}): Caller => ({ key: 'k', access: 'admin', digest, keyDigest: digest, proof: `key of ${digest}`, ...more })
const yes = (access: Verdict['access']): Yes => ({ verdict: { access }, provenAt: 0, freshUntil: 1, stale: false, retryAt: 0 })

interface Fixtures { known: Map<string, Yes>, core: { ask: Mock<(key: string, digest: string) => Promise<Yes | undefined>> }, held: HeldOpen }

const test = base.extend<Fixtures>({
  known: async ({}, use) => { await use(new Map([['a', yes('admin')]])) },
  core: async ({}, use) => { await use({ ask: vi.fn(async () => await Promise.resolve(undefined)) }) },
  held: async ({ known, core: { ask } }, use) => {
    vi.useFakeTimers()
    const held = holdOpen({ known: (key, digest) => known.get(digest), ask })
    await use(held)
    held.close()
    vi.useRealTimers()
  }
})

test('what is open under a key ends with it, once, and what was let go does not', async ({ held }) => {
  const ends: string[] = []
  held.add(caller('a'), 'user', ({ code }) => { ends.push(`first ${code}`) })
  const letGo = held.add(caller('a'), 'user', () => { ends.push('second') })
  held.add(caller('b'), 'user', () => { ends.push('other') })
  letGo()
  held.end('a', new ApiError('unauthorized', 'gone'))

  expect(ends).toEqual(['first unauthorized'])
})

test('what was opened with a token ends with the token as well as with its key', async ({ held }) => {
  const ends: string[] = []
  held.add(caller('a', { tokenDigest: 't1' }), 'user', () => { ends.push('t1') })
  held.add(caller('a', { tokenDigest: 't2' }), 'user', () => { ends.push('t2') })
  held.end('t1', new ApiError('unauthorized', 'gone'))
  expect(ends).toEqual(['t1'])
  held.end('a', new ApiError('unauthorized', 'gone'))

  expect(ends).toContain('t2')
})

test('while the verdict is at hand nobody is asked; then the Core is, once for each key', async ({ held, known, core: { ask } }) => {
  known.set('b', yes('user'))
  for (const digest of ['a', 'a', 'b']) held.add(caller(digest), 'user', () => {})
  await vi.advanceTimersByTimeAsync(3_100)
  expect(ask).not.toHaveBeenCalled()
  known.clear()
  await vi.advanceTimersByTimeAsync(1_000)

  expect(ask.mock.calls).toEqual([['key of a', 'a'], ['key of b', 'b']])
})

test('a level that sank ends what needs the higher one, and leaves the rest', async ({ held, known }) => {
  const ends: string[] = []
  held.add(caller('a'), 'admin', ({ code }) => { ends.push(`admin ${code}`) })
  held.add(caller('a'), 'user', () => { ends.push('user') })
  known.set('a', yes('user'))
  await vi.advanceTimersByTimeAsync(1_100)

  expect(ends).toEqual(['admin forbidden'])
})

test('a level that sank ends what needs the higher one also where no verdict is remembered', async ({ held, known, core: { ask } }) => {
  const ends: string[] = []
  held.add(caller('a'), 'admin', ({ code }) => { ends.push(`admin ${code}`) })
  held.add(caller('a'), 'user', () => { ends.push('user') })
  known.clear()
  ask.mockResolvedValue(yes('user'))
  await vi.advanceTimersByTimeAsync(1_100)

  expect(ends).toEqual(['admin forbidden'])
})

test('a key that cannot be asked of any more, and that nothing stands in for, ends what is open', async ({ held, known, core: { ask } }) => {
  const ends: string[] = []
  held.add(caller('a'), 'user', ({ code }) => { ends.push(code) })
  known.clear()
  ask.mockRejectedValue(new ApiError('core_unavailable', 'away'))
  await vi.advanceTimersByTimeAsync(1_100)

  expect(ends).toEqual(['core_unavailable'])
})
