import { expect, test } from 'vitest'
import { createLogger } from '../../../plugins/telemetry/logger.ts'
import type { Tap } from '../../../plugins/telemetry/tap.ts'
import { test as run } from '../../cli/run.ts'
import { as, configFor, keys } from '../../app.ts'

const config = configFor({ url: 'http://127.0.0.1:1' })

function logging (): { tap: Tap, written: string[], tapped: string[], log: ReturnType<typeof createLogger> } {
  const [written, tapped]: [string[], string[]] = [[], []]
  const tap: Tap = { log: (line) => { tapped.push(line) }, span: undefined }
  const log = createLogger(config, { service: 'muxi-api', version: '1' }, tap, { write: (line) => { written.push(line) } })
  return { tap, written, tapped, log }
}

test('each line goes to its destination and, without its end, to the tap', () => {
  const { written, tapped, log } = logging()
  log.info({ requestId: 'r1' }, 'one\ntwo')
  log.child({ part: 1 }).error('three')

  expect(written).toHaveLength(2)
  expect(tapped.map((line) => `${line}\n`)).toEqual(written)
  expect(tapped.map((line) => JSON.parse(line) as object)).toMatchObject([{ level: 'info', requestId: 'r1', message: 'one\ntwo' }, { level: 'error', part: 1, message: 'three' }])
})

test('a tap that is not set takes nothing, and may be set at any time', () => {
  const { tap, written, tapped, log } = logging()
  const { log: taken } = tap
  tap.log = undefined
  log.info('one')
  tap.log = taken
  log.info('two')

  expect(written).toHaveLength(2)
  expect(tapped).toEqual([expect.stringContaining('"two"')])
})

test('what is secret is neither written nor tapped', () => {
  const { written, tapped, log } = logging()
  log.info({ key: keys.user, headers: { authorization: as('user').authorization } }, 'one')

  expect(written).toHaveLength(1)
  expect(written.concat(tapped).join('')).not.toContain('sk_muxi_')
})

test('pino finds how to flush what it writes to', () => {
  const calls: string[] = []
  const destination = { write: () => {}, flush: (done: () => void) => { calls.push('flush'); done() }, flushSync: () => { calls.push('flushSync') } }
  const log = createLogger(config, { service: 'muxi-api', version: '1' }, { log: undefined, span: undefined }, destination)
  log.flush(() => { calls.push('flushed') })
  log.fatal('the end')

  expect(calls).toEqual(['flush', 'flushed', 'flushSync'])
})

run('a server that ends has written its last line', async ({ run, core }) => {
  const server = run(['start'], { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_PORT: '0' })
  await server.url()
  await server.end('SIGTERM')

  expect(server.lines.map(({ message }) => message)).toContain('stopping')
})

run('without standard output nothing is written there', async ({ run, core, freePort }) => {
  const port = await freePort()
  const server = run(['start'], { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_PORT: String(port), MUXI_API_TRACING_STDOUT: 'false' })
  await expect.poll(async () => await fetch(`http://127.0.0.1:${port}/health`).then(({ status }) => status, () => undefined)).toBe(200)

  expect(await server.end('SIGTERM')).toMatchObject({ code: 0, stdout: '', stderr: '' })
})
