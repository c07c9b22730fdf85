import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test as base } from 'vitest'
import { daysLeft, invalidNow, readPair } from '../../../plugins/reload/certificate.ts'

const file = (name: string) => `test/fixtures/tls/${name}.pem`
const test = base.extend<{ write: (text: string) => string }>({
  write: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), 'certificate-'))
    await use((text) => {
      writeFileSync(join(folder, 'some.pem'), text)
      return join(folder, 'some.pem')
    })
    rmSync(folder, { recursive: true })
  }
})

test('a pair tells when it holds', () => {
  const { begins, ends, serial } = readPair({ cert: file('renewed-cert'), key: file('renewed-key') })

  expect([begins.toISOString(), ends.toISOString(), serial]).toEqual(['2026-01-01T00:00:00.000Z', '2125-12-31T23:59:59.000Z', '02'])
})

test('what cannot serve is one sentence that names the file', ({ write }) => {
  const half = readFileSync(file('cert'), 'utf8').slice(0, 300)

  expect(() => readPair({ cert: file('cert'), key: file('renewed-key') })).toThrow('test/fixtures/tls/renewed-key.pem is not the key of test/fixtures/tls/cert.pem')
  expect(() => readPair({ cert: write(half), key: file('key') })).toThrow(/some\.pem cannot be used: /)
  expect(() => readPair({ cert: file('cert'), key: write('') })).toThrow(/some\.pem cannot be used: /)
  expect(() => readPair({ cert: write(`${readFileSync(file('cert'), 'utf8')}${half}`), key: file('key') })).toThrow(/some\.pem cannot be used: /)
  expect(() => readPair({ cert: file('missing'), key: file('key') })).toThrow(/no such file.*missing/)
})

test('what has ended, or has not begun, does not hold now', () => {
  const pair = { begins: new Date('2026-01-01'), ends: new Date('2026-03-01') }

  expect(invalidNow(pair, Date.parse('2026-02-01'))).toBeUndefined()
  expect(invalidNow(pair, Date.parse('2026-03-01'))).toBe('it ended at 2026-03-01T00:00:00.000Z')
  expect(invalidNow(pair, Date.parse('2025-12-31'))).toBe('it begins at 2026-01-01T00:00:00.000Z')
})

test('less than 14 days are told', () => {
  const pair = { ends: new Date('2026-03-01') }

  expect(['2026-02-14', '2026-02-15', '2026-02-16', '2026-02-28T12:00Z', '2026-04-01'].map((now) => daysLeft(pair, Date.parse(now)))).toEqual([undefined, undefined, 13, 0, 0])
})
