import { afterEach, beforeEach, expect, test } from 'vitest'
import { createMemoryCluster } from '../../../../plugins/cluster/memory.ts'
import { createSeal } from '../../../../plugins/cluster/seal.ts'
import { Records, mostRunning, type Task } from '../../../../plugins/mcp/tasks/records.ts'

type Owner = Parameters<Records['find']>[1]

const seal = createSeal(Buffer.alloc(32, 7))
const ada = { caller: { digest: 'ada' }, userId: () => '0' } as Owner
const bob = { caller: { digest: 'bob' }, userId: () => '0' } as Owner
const minute = { ttlMs: 60_000, session: undefined }
let shared: ReturnType<typeof createMemoryCluster>
let now = 0
let members: string[]
let told: [string, Task['status']][]

const at = (id: string) => new Records({ cluster: { ...shared, id, members: async () => members }, seal }, { now: () => now, onStatus: ({ status }) => { told.push([id, status]) } })
const over = (status: Task['status']) => (task: Task) => { task.status = status }

beforeEach(() => {
  now = 1_000
  members = ['one', 'other']
  told = []
  shared = createMemoryCluster(() => now)
})
afterEach(async () => { await shared.close() })

test('a task is known at every instance, to its caller', async () => {
  const task = await at('one').open(ada, minute)

  expect(await at('other').find(task.id, ada)).toEqual(task)
  expect(await at('other').find(task.id, bob)).toBeUndefined()
})

test('a task and its result are gone when its time is over, and not before', async () => {
  const records = at('one')
  const task = await records.open(ada, minute)
  await records.keepResult(task, { content: [] })
  now += 59_999
  const before = [await records.find(task.id, ada), await records.result(task.id)]
  now += 1
  const after = [await records.find(task.id, ada), await records.list(ada), await records.change(task.id, over('completed'))]

  expect(before).toEqual([task, { content: [] }])
  expect(after).toEqual([undefined, { tasks: [] }, undefined])
})

test('of two that end a task one is the first, and what it said holds', async () => {
  const { id } = await at('one').open(ada, minute)
  const results = await Promise.all([at('one').change(id, over('completed')), at('other').change(id, over('cancelled'))])
  const found = await at('one').find(id, ada)

  expect(results.map((result) => result!.isChanged).toSorted()).toEqual([false, true])
  expect(results.map((result) => result!.task.status)).toEqual(Array(2).fill(found!.status))
  expect(told).toHaveLength(1)
})

test('who follows a task is woken when its status changes at another instance', async () => {
  const { id } = await at('one').open(ada, minute)
  let woken = 0
  const letGo = at('one').follow(id, () => { woken++ }, 60_000)
  await at('other').change(id, (task) => { task.statusMessage = 'half of it' })
  const byMessage = woken
  await at('other').change(id, over('cancelled'))

  await expect.poll(() => woken).toBeGreaterThan(0)
  expect(byMessage).toBe(0)
  letGo()
})

test('what is over, and what ran at an instance that is gone, makes room for more', async () => {
  const [one, other] = [at('one'), at('other')]
  const first = await one.open(ada, minute)
  for (let i = 1; i < mostRunning; i++) await one.open(ada, minute)
  const full = await other.open(ada, minute).catch((error: unknown) => error)
  await one.change(first.id, over('completed'))
  const next = await other.open(ada, minute)
  const fullAgain = await other.open(ada, minute).catch((error: unknown) => error)
  members = ['other']
  const last = await other.open(ada, minute)
  const others = await other.open(bob, minute)

  expect([full, fullAgain]).toMatchObject(Array(2).fill({ code: 'rate_limited', message: '100 tasks run already: wait for one of them, or cancel one' }))
  expect([next, last, others]).toMatchObject(Array(3).fill({ status: 'working' }))
})

test('the list has pages of a hundred, in order, none of which repeats or leaves out a task', async () => {
  const records = at('one')
  const ids: string[] = []
  for (let i = 0; i < 205; i++) {
    const { id } = await records.open(ada, minute)
    ids.push(id)
    await records.change(id, over('completed'))
  }
  const pages = []
  let after: string | undefined
  do {
    const page = await records.list(ada, after)
    pages.push(page!.tasks.map(({ id }) => id))
    after = page!.next
  } while (after !== undefined)

  expect(pages.map(({ length }) => length)).toEqual([100, 100, 5])
  expect(pages.flat()).toEqual(ids)
  expect(await records.list(bob, ids[0])).toBeUndefined()
})

test('nothing of a task can be read in the store', async () => {
  const texts: string[] = []
  const records = new Records({ cluster: { ...shared, set: async (key, value, ...more) => { texts.push(key, value); return await shared.set(key, value, ...more) }, keep: async (key, value, ttl) => { texts.push(key, value); await shared.keep(key, value, ttl) } }, seal }, { now: () => now })
  const task = await records.open(ada, minute)
  await records.keepResult(task, { secret: 'hunter2' })
  await records.change(task.id, (changed) => { changed.statusMessage = 'hunter2' })

  expect(texts.length).toBeGreaterThan(6)
  expect(texts.join()).not.toMatch(/ada|hunter2/)
})
