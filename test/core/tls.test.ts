import { copyFileSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { describe, expect } from 'vitest'
import { CoreTls } from '../../core/tls.ts'
import { configFor } from '../app.ts'
import { admin, failureOf, test as base } from './client.ts'
import { folder } from '../fixtures/folder.ts'

const own = { cert: 'test/fixtures/tls/cert.pem', key: 'test/fixtures/tls/key.pem' }
const shown = { MUXI_CORE_TLS_CERT: own.cert, MUXI_CORE_TLS_KEY: own.key }

interface Fixtures {
  folder: string
  /** a Core behind TLS that wants a client certificate; its names so far */
  secure: { url: string, names: unknown[] }
}

const test = base.extend<Fixtures>({
  folder,
  secure: async ({}, use) => {
    const names: unknown[] = []
    const server: Server = createServer({ cert: readFileSync(own.cert), key: readFileSync(own.key), ca: readFileSync(own.cert), requestCert: true }, (req, res) => { res.end('{"success":true,"data":{}}') })
    server.on('secureConnection', ({ servername }) => { names.push(servername) })
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    await use({ url: `https://localhost:${(server.address() as AddressInfo).port}`, names })
    server.closeAllConnections()
    server.close()
  }
})

test('a Core that wants a client certificate is reached with one', async ({ connect, secure }) => {
  const client = connect({ MUXI_CORE_TLS_CA: own.cert, ...shown }, secure.url)

  expect(await client.get('/agents', { caller: admin })).toEqual({})
})

test('without one the failure names the setting, inside; the caller is told no more than ever', async ({ connect, secure }) => {
  const failure = await failureOf(connect({ MUXI_CORE_TLS_CA: own.cert }, secure.url).post('/agents', {}, { caller: admin }))

  expect(failure).toMatchObject({ code: 'core_unavailable', message: 'the MUXI Core cannot be reached' })
  expect(failure.cause).toMatchObject({ message: 'the MUXI Core wants a client certificate: set MUXI_CORE_TLS_CERT and MUXI_CORE_TLS_KEY' })
})

test('a name of its own is asked for, and the certificate must be for it', async ({ connect, secure }) => {
  const url = secure.url.replace('localhost', '127.0.0.1')
  await connect({ MUXI_CORE_TLS_CA: own.cert, ...shown, MUXI_CORE_TLS_SERVER_NAME: 'localhost' }, url).get('/agents', { caller: admin })
  const failure = await failureOf(connect({ MUXI_CORE_TLS_CA: own.cert, ...shown, MUXI_CORE_TLS_SERVER_NAME: 'core.example' }, url).get('/agents', { caller: admin }))

  expect(secure.names[0]).toBe('localhost')
  expect(failure.cause).toMatchObject({ message: 'the certificate of the MUXI Core is for another name: set another MUXI_CORE_TLS_SERVER_NAME' })
})

test('https where the Core speaks http is named', async ({ connect, core }) => {
  const failure = await failureOf(connect({}, core.url.replace('http:', 'https:')).get('/agents', { caller: admin }))

  expect(failure.cause).toMatchObject({ message: 'what answers there does not speak TLS: is MUXI_CORE_URI http?' })
})

describe('files that change', () => {
  test('are read again by the next connection; those that cannot be used leave the old ones in force', async ({ connect, secure, folder }) => {
    const ca = join(folder, 'ca.pem')
    writeFileSync(ca, rootCertificates[0]!)
    const client = connect({ MUXI_CORE_TLS_CA: ca, ...shown }, secure.url)
    const told: string[] = []
    client.transport.tls.onUnusable = ({ message }) => { told.push(message) }
    const ask = async () => await client.get('/agents', { caller: admin }).then(() => 'well', ({ cause }: { cause: Error }) => cause.message)
    const before = await ask()
    copyFileSync(own.cert, ca)
    const renewed = await ask()
    writeFileSync(ca, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    utimesSync(ca, 1, 1)
    client.transport.current.renewIfDue(Infinity)
    const spoilt = await ask()

    expect([before, renewed, spoilt]).toEqual(['the certificate of the MUXI Core is not signed by a certificate in MUXI_CORE_TLS_CA', 'well', 'well'])
    expect(told).toEqual([expect.stringMatching(/^core\.tls_ca, core\.tls_cert or core\.tls_key cannot be used: /)])
  })

  test('that cannot be used stop the start', ({ core, folder }) => {
    const key = join(folder, 'key.pem')
    writeFileSync(key, 'no key')

    expect(() => new CoreTls(configFor(core, { ...shown, MUXI_CORE_TLS_KEY: key }).core)).toThrow(/^core\.tls_ca, core\.tls_cert or core\.tls_key cannot be used: /)
  })
})

test('a refusal that nginx words in HTML is understood, any other 400 is not', ({ core }) => {
  const [bare, certified] = [new CoreTls(configFor(core).core), new CoreTls(configFor(core, shown).core)]

  expect(bare.explainAnswer(400, '<center>No required SSL certificate was sent</center>')?.message).toBe('the MUXI Core wants a client certificate: set MUXI_CORE_TLS_CERT and MUXI_CORE_TLS_KEY')
  expect(certified.explainAnswer(400, '<center>The SSL certificate error</center>')?.message).toContain('the MUXI Core refuses the client certificate')
  expect(certified.explainAnswer(400, '{"detail":"certificate"}')).toBeUndefined()
})
