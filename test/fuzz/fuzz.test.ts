import { randomInt } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { installed, skipped } from '../e2e/processes.ts'
import { generatedCalls, program, type Wish } from './schemathesis.ts'
import { keys, startTarget, type Target } from './target.ts'

/** A fresh one each time, unless one is to be repeated. */
const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31))

describe.skipIf(skipped(installed('python3') ? undefined : 'generated calls: there is no python3'))('generated calls', () => {
  beforeAll(async () => { await program() })

  test('200 calls of each operation with the admin key, always the same, find nothing', async () => {
    await nothingFound({ level: 'admin', examples: 200, seed: 1 })
  })

  test(`25 calls of each operation with the user key, others each time, find nothing (seed ${seed})`, async () => {
    await nothingFound({ level: 'user', examples: 25, seed })
  })
})

async function nothingFound (wish: Wish): Promise<void> {
  await using target = await startTarget()
  const { found, report } = await generatedCalls(target, wish)

  process.stdout.write(`${wish.level} key, seed ${wish.seed}\n${found ? report : report.slice(report.indexOf('Test cases:'))}\n`)
  if (found) throw new Error(`repeat it with ${wish.level === 'user' ? `FUZZ_SEED=${wish.seed} ` : ''}npm run fuzz\n${inShort(report)}`)
  await wasWell(target)
}

/** Of each failure the operation, the check, the status and the call that repeats it: what the pipeline shows is short. */
function inShort (report: string): string {
  const lines = report.split('\n').filter((line) => /^(?:_+ \S+ \/\S* _+$|- ST\d+|\[\d{3}\]| {4}curl |Error: |\w*Error: )/.test(line))
  return lines.map((line) => line.replace(/^_+ | _+$/g, '').slice(0, 600)).join('\n')
}

/** It has a mode that is named already, and answers 501 until it is there. */
const reserved = 'rtc_session_create'

/** The server's own word on what it was asked: no failure of its own, nothing unhandled, and it is still there. */
async function wasWell ({ url, lines, alive }: Target): Promise<void> {
  const all = await lines()
  const metrics = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${keys.admin}` } })).text()

  expect(all.filter(({ level, statusCode = 0, operationId }) => (['error', 'fatal'].includes(level) || statusCode >= 500) && !(statusCode === 501 && operationId === reserved))).toEqual([])
  expect(all.filter(({ message }) => message === 'request').length).toBeGreaterThan(1_000)
  expect(metrics.split('\n').filter((line) => /^http_server_request_duration_seconds_count\{.*response_status_code="5/.test(line) && !(line.includes('code="501"') && line.includes(`operation="${reserved}"`)))).toEqual([])
  expect(metrics).toMatch(/^http_server_request_duration_seconds_count\{.*response_status_code="2/m)
  expect(alive()).toBe(true)
}
