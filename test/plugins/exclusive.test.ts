import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { test } from '../app.ts'

test('work of one name runs one at a time, in order; work of another name does not wait', async ({ app }) => {
  const steps: string[] = []
  const work = async (name: string, step: string) => await app.exclusively(name, async () => {
    steps.push(`${step} begins`)
    await sleep(20)
    steps.push(`${step} ends`)
    return step
  })
  const results = await Promise.all([work('a', '1'), work('a', '2'), work('b', '3')])

  expect(results).toEqual(['1', '2', '3'])
  expect(steps.filter((step) => !step.startsWith('3'))).toEqual(['1 begins', '1 ends', '2 begins', '2 ends'])
  expect(steps.indexOf('3 begins')).toBeLessThan(steps.indexOf('1 ends'))
})

test('work that fails says so and holds nobody back', async ({ app }) => {
  const [failed, next] = await Promise.allSettled([app.exclusively('a', async () => { throw new Error('no') }), app.exclusively('a', async () => 'yes')])

  expect(failed).toMatchObject({ status: 'rejected', reason: { message: 'no' } })
  expect(next).toMatchObject({ value: 'yes' })
})

test('work waits for the instance that holds the lock', async ({ app }) => {
  const lock = await app.cluster.lock('a', 5_000)
  const waiting = app.exclusively('a', async () => 'done')
  const first = await Promise.race([waiting, sleep(200, 'waits')])
  await lock!.release()

  expect([first, await waiting]).toEqual(['waits', 'done'])
})

test('work that was held up for too long is refused before it changes anything, once another has had its turn', async ({ app }) => {
  const changes: string[] = []
  const late = app.exclusively('a', async (ensure) => {
    await ensure()
    changes.push('in time')
    // As if its time were over: it was asleep meanwhile.
    await app.cluster.delete('lock:a')
    const other = await app.cluster.lock('a', 5_000)
    changes.push('another')
    await other!.release()
    await ensure()
    changes.push('too late')
  })

  await expect(late).rejects.toMatchObject({ code: 'conflict' })
  expect(changes).toEqual(['in time', 'another'])
})
