import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { LookupFunction } from 'node:net'
import { createSecureContext } from 'node:tls'
import { buildConnector } from 'undici'
import type { Config } from '../schemas/config.ts'
import { codeOf } from './retry.ts'

type Settings = Pick<Config['core'], 'connect_timeout_ms' | 'tls_ca' | 'tls_cert' | 'tls_key' | 'tls_server_name'>

/** Why TLS with the Core does not come about, in words that name the setting; the error of the connection is its cause. */
export class TlsFault extends Error {}

/** Opens connections to the Core, with the certificates as the files hold them at that moment. */
export class CoreTls {
  /** Told when renewed files cannot be used; those read before stay in force. */
  onUnusable: (error: Error) => void = () => {}
  readonly #settings: Settings
  readonly #lookup: LookupFunction | undefined
  readonly #files: string[]
  #stamp: string
  #open: buildConnector.connector
  /** When the certificate that we show ends. */
  #ends: number | undefined
  #alert: { error: Error, at: number, port: number | undefined } | undefined

  constructor (settings: Settings, lookup?: LookupFunction) {
    this.#settings = settings
    this.#lookup = lookup
    this.#files = [settings.tls_ca, settings.tls_cert, settings.tls_key].filter((path) => path !== undefined)
    this.#stamp = this.#stampNow()
    this.#open = this.#build()
  }

  readonly connect: buildConnector.connector = (options, callback) => {
    this.#renew()
    // With a name of its own the certificate is checked for that name, too.
    this.#open({ ...options, servername: this.#settings.tls_server_name ?? options.servername }, (...result) => {
      // TLS 1.3 refuses a client after the handshake: the alert comes before anybody listens, and the call then sees a closed connection alone.
      result[1]?.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code?.startsWith('ERR_SSL') === true) this.#alert = { error, at: performance.now(), port: result[1]?.localPort }
      })
      callback(...result)
    })
  }

  /** What a failed connection or answer means where TLS is at fault; undefined elsewhere. Names no address: it is shown to the public. */
  explain (error: unknown): TlsFault | undefined {
    const text = this.#reason(codeOf(this.#alertBefore(error) ?? error)) ?? this.#silence(error)
    return text === undefined ? undefined : new TlsFault(text, { cause: error })
  }

  /** The same for a refusal in HTTP, as nginx words it. */
  explainAnswer (status: number, text: string): TlsFault | undefined {
    if (status !== 400 && status !== 495 && status !== 496) return undefined
    if (/no required ssl certificate was sent/i.test(text) || status === 496) return new TlsFault(this.#refusal('116'))
    return /the ssl certificate error/i.test(text) || status === 495 ? new TlsFault(this.#refusal('42')) : undefined
  }

  /** A TLS server that looks at certificates after the handshake, as Node's does, just closes. */
  #silence (error: unknown): string | undefined {
    const { socket } = error as { socket?: { bytesRead?: number } }
    if (this.#settings.tls_cert === undefined || codeOf(error) !== 'UND_ERR_SOCKET' || socket?.bytesRead !== 0) return undefined
    return this.#ends !== undefined && this.#ends < Date.now() ? this.#refusal('') : `${this.#refusal('')}, it seems: it closes the connection without a word`
  }

  #alertBefore (error: unknown): Error | undefined {
    if (this.#alert === undefined || !/^(?:UND_ERR_SOCKET|ECONNRESET|EPIPE)$/.test(codeOf(error))) return undefined
    const { socket } = error as { socket?: { localPort?: number } }
    const isIts = socket?.localPort !== undefined ? socket.localPort === this.#alert.port : performance.now() - this.#alert.at < 1_000
    return isIts ? this.#alert.error : undefined
  }

  #reason (code: string): string | undefined {
    switch (code) {
      case 'CERT_HAS_EXPIRED': return 'the certificate of the MUXI Core, or of its signer, has expired'
      case 'CERT_NOT_YET_VALID': return 'the certificate of the MUXI Core is not valid yet: compare the clocks'
      case 'ERR_TLS_CERT_ALTNAME_INVALID': return `the certificate of the MUXI Core is for another name: set ${this.#settings.tls_server_name === undefined ? '' : 'another '}MUXI_CORE_TLS_SERVER_NAME`
      case 'ERR_SSL_WRONG_VERSION_NUMBER':
      case 'ERR_SSL_PACKET_LENGTH_TOO_LONG': return 'what answers there does not speak TLS: is MUXI_CORE_URI http?'
    }
    if (/^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_(?:SIGNATURE|UNTRUSTED|REJECTED)|INVALID_(?:CA|PURPOSE))/.test(code)) {
      return `the certificate of the MUXI Core is not signed by ${this.#settings.tls_ca === undefined ? 'anyone the system trusts: set MUXI_CORE_TLS_CA' : 'a certificate in MUXI_CORE_TLS_CA'}`
    }
    return /^ERR_SSL_.*(?:ALERT|CERTIFICATE)/.test(code) ? this.#refusal(code) : undefined
  }

  /** An alert of the Core's side: it is about what we have shown. */
  #refusal (code: string): string {
    if (this.#settings.tls_cert === undefined) return 'the MUXI Core wants a client certificate: set MUXI_CORE_TLS_CERT and MUXI_CORE_TLS_KEY'
    if (this.#ends !== undefined && this.#ends < Date.now()) return `the MUXI Core refuses the client certificate: MUXI_CORE_TLS_CERT has expired on ${new Date(this.#ends).toISOString().slice(0, 10)}`
    return /EXPIRED/.test(code)
      ? 'the MUXI Core refuses the client certificate of MUXI_CORE_TLS_CERT as expired'
      : `the MUXI Core refuses the client certificate of MUXI_CORE_TLS_CERT${/UNKNOWN_CA/.test(code) ? ': it does not know who signed it' : ''}`
  }

  #renew (): void {
    if (this.#files.length === 0) return
    let stamp = ''
    try {
      stamp = this.#stampNow()
      if (stamp === this.#stamp) return
      this.#open = this.#build()
    } catch (error) {
      // A certificate is written before its key: the next connection looks again.
      if (stamp !== this.#stamp) this.onUnusable(error as Error)
    }
    this.#stamp = stamp
  }

  #build (): buildConnector.connector {
    const { connect_timeout_ms: timeout, tls_ca: ca, tls_cert: cert, tls_key: key } = this.#settings
    const base = { timeout, ...(this.#lookup !== undefined && { lookup: this.#lookup }) }
    if (this.#files.length === 0) return buildConnector(base)
    const read = (path: string | undefined) => path === undefined ? undefined : readFileSync(path, 'utf8')
    const [signers, shown] = [read(ca), read(cert)]
    try {
      // OpenSSL passes over signers that it cannot read, and then trusts nobody.
      if (signers !== undefined) new X509Certificate(signers) // eslint-disable-line no-new
      const secureContext = createSecureContext({ ca: signers, cert: shown, key: read(key) })
      this.#ends = shown === undefined ? undefined : Date.parse(new X509Certificate(shown).validTo)
      // A new connector has no sessions of the one before, which would go on without the new certificate.
      return buildConnector({ ...base, secureContext })
    } catch (cause) {
      throw new TlsFault(`core.tls_ca, core.tls_cert or core.tls_key cannot be used: ${(cause as Error).message}`, { cause })
    }
  }

  #stampNow (): string {
    return this.#files.map((path) => {
      const { mtimeMs, size, ino } = statSync(path)
      return `${mtimeMs} ${size} ${ino}`
    }).join()
  }
}
