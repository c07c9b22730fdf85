import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { EmbeddedCoreReport } from '../../../core/embedded/main.ts'
import { startEmbeddedCore } from '../../../core/embedded/index.ts'

// the process runs compiled: the oldest Node that is supported strips no types
const folder = mkdtempSync(join(tmpdir(), 'embedded-core-'))
const main = join(folder, 'core/embedded/main.js')

beforeAll(() => {
  mkdirSync(join(folder, 'core/embedded'), { recursive: true })
  cpSync('package.json', join(folder, 'package.json'))
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
  for (const name of readdirSync('core/embedded').filter((name) => name.endsWith('.ts'))) {
    const { outputText } = ts.transpileModule(readFileSync(join('core/embedded', name), 'utf8'), {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, rewriteRelativeImportExtensions: true, verbatimModuleSyntax: true }
    })
    writeFileSync(join(folder, 'core/embedded', name.replace(/ts$/, 'js')), outputText)
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

test('the process starts as its parent says, reports where, and ends with its parent', async () => {
  const child = fork(main)
  child.send({ adminKey: 'sk_a' })
  const report = await reportOf(child)
  const url = 'ready' in report ? report.ready : ''
  const status = (await fetch(`${url}/v1/agents`, { headers: { 'x-muxi-admin-key': 'sk_a' } })).status
  child.disconnect()

  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  expect(status).toBe(200)
  expect(await once(child, 'exit')).toEqual([0, null])
})

test('the process ends on SIGTERM, an open stream or not', async () => {
  const child = fork(main)
  child.send({ userKey: 'sk_u' })
  const report = await reportOf(child)
  const url = 'ready' in report ? report.ready : ''
  const res = await fetch(`${url}/v1/chat`, { method: 'POST', headers: { 'x-muxi-client-key': 'sk_u' }, body: '{"message":"[fake: hang_ms=60000]"}' })
  res.text().catch(() => {})
  child.kill('SIGTERM')

  expect(await once(child, 'exit')).toEqual([0, null])
})

test('the state is in its file when the process has ended', async () => {
  const child = fork(main)
  const stateFile = join(folder, 'state.json')
  child.send({ adminKey: 'sk_a', stateFile })
  const report = await reportOf(child)
  const url = 'ready' in report ? report.ready : ''
  const headers = { 'x-muxi-admin-key': 'sk_a' }
  await fetch(`${url}/v1/users/alice/context`, { method: 'POST', headers, body: '{"knowledge":{"name":"Ada"}}' })
  child.kill('SIGTERM')
  await once(child, 'exit')

  expect(JSON.parse(readFileSync(stateFile, 'utf8'))).toMatchObject({ contexts: { alice: { knowledge: { name: 'Ada' } } } })
})

test('a state file that is broken is one line', async () => {
  const child = fork(main)
  const stateFile = join(folder, 'broken.json')
  writeFileSync(stateFile, '{')
  child.send({ stateFile })
  const report = await reportOf(child)

  expect(await once(child, 'exit')).toEqual([1, null])
  expect(report).toEqual({ error: `the state file ${stateFile} can't be used: it is no JSON` })
})

test('a port that is taken is one line with its code', async () => {
  const taken = await startEmbeddedCore()
  const child = fork(main)
  child.send({ port: Number(new URL(taken.url).port) })
  const report = await reportOf(child)
  const [code] = await once(child, 'exit') as [number]
  await taken.close()

  expect(report).toEqual({ error: expect.stringMatching(/^[^\n]*EADDRINUSE[^\n]*$/), code: 'EADDRINUSE' })
  expect(code).toBe(1)
})

async function reportOf (child: ChildProcess): Promise<EmbeddedCoreReport> {
  const [report] = await once(child, 'message') as [EmbeddedCoreReport]
  return report
}
