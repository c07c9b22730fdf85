import { parseArgs } from 'node:util'
import { isLoopback } from './addresses.ts'
import { linesIn, writerTo } from './mcp/lines.ts'
import { Relay } from './mcp/relay.ts'
import { Remote } from './mcp/remote.ts'
import { stopSignal } from './signals.ts'
import { UsageError } from './usage.ts'

const defaults = { url: 'http://127.0.0.1:8000/mcp', timeout: '120000', retries: '5' }

export const help = `muxi-api mcp: connect an MCP host that starts its servers as commands (stdio) to a server on the network

Reads messages from standard input and writes messages to standard output, a line each, of the revisions 2026-07-28 and 2025-11-25, 2025-06-18,
2025-03-26, 2024-11-05. All else is told on standard error. A connection that breaks off is taken up again; a session that the server has forgotten
is begun anew. A request that cannot be answered gets an error; one that may have been done already is not sent a second time.

Environment:
  MUXI_API_KEY        the key; never a flag, since others see a command line
  NODE_EXTRA_CA_CERTS file with certificates (PEM) that may have signed the server's, beside those that Node.js trusts

Options:
  --url URL           the MCP endpoint; without a path /mcp [${defaults.url}]
  --tools LIST        only these tools: names and patterns with *, between commas; compact: three tools that find, describe and call the others
  --header 'N: V'     a header to send along, such as a proxy asks for; may be repeated
  --timeout MS        how long the server may be silent over a request [${defaults.timeout}]
  --retries N         how often a call that broke off is tried again, each time later [${defaults.retries}]

Exit code: 0 (standard input has ended and all is answered, or a signal to stop), 1 (the server never answered), 2 (wrong use, or no key).

In the settings of a host:
  {"mcpServers":{"muxi":{"command":"npx","args":["-y","muxi-api","mcp","--url","https://muxi.example.com/mcp"],"env":{"MUXI_API_KEY":"…"}}}}
`

const options = {
  help: { type: 'boolean', short: 'h' },
  url: { type: 'string', default: defaults.url },
  tools: { type: 'string' },
  header: { type: 'string', multiple: true, default: [] as string[] },
  timeout: { type: 'string', default: defaults.timeout },
  retries: { type: 'string', default: defaults.retries }
} as const

/** The bridge's own, and what would make the two ends disagree. */
const ownHeaders = /^(?:accept|authorization|x-api-key|content-.*|connection|host|last-event-id|mcp-.*|transfer-encoding|upgrade|expect|keep-alive|te|trailer)$/i

/** Serves the host at standard input until that ends or a signal says so. */
export default async function (args: string[]): Promise<void> {
  const { url, key, headers, timeoutMs, retries } = settingsIn(args)
  const { protocol, hostname } = new URL(url)
  if (protocol === 'http:' && !isLoopback(hostname)) say(`${url} is no https: whoever is on the way can read the key`)
  const remote = new Remote({ url, key, headers, timeoutMs })
  const relay = new Relay({ remote, write: writerTo(process.stdout), say, retries })
  const stopped = stopSignal()
  // A host that reads no more has gone.
  const gone = new Promise<void>((resolve) => { process.stdout.once('error', () => { resolve() }) })
  const read = async () => {
    for await (const line of linesIn(process.stdin)) await relay.take(line)
    await relay.finish()
  }
  let code = 0
  await Promise.race([read().then(() => { code = remote.state === 'silent' ? 1 : 0 }), stopped, gone])
  await relay.stop()
  process.exit(code)
}

function settingsIn (args: string[]) {
  const { values } = parsed(args)
  const key = process.env.MUXI_API_KEY ?? ''
  if (key === '') throw new UsageError('set MUXI_API_KEY to a key of the server, in the environment that the host gives this command')
  if (!/^[\x21-\x7e]+$/.test(key)) throw new UsageError('MUXI_API_KEY must be printable ASCII without blanks')
  return {
    key,
    url: urlOf(values.url, values.tools),
    headers: Object.fromEntries(values.header.map(headerIn)),
    timeoutMs: wholeOf(values.timeout, '--timeout', 100, 3_600_000),
    retries: wholeOf(values.retries, '--retries', 0, 100)
  }
}

function parsed (args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: false })
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0], { cause: error })
  }
}

function urlOf (text: string, tools: string | undefined): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) throw new UsageError('--url must be an address such as https://muxi.example.com/mcp')
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') throw new UsageError('--url must not hold a name or a password: the key comes from MUXI_API_KEY')
  if (url.pathname === '/') url.pathname = '/mcp'
  url.hash = ''
  if (tools === '') throw new UsageError('--tools must not be empty')
  if (tools !== undefined) url.searchParams.set('tools', tools)
  return url.href
}

function headerIn (text: string): [string, string] {
  const [, name, value] = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e]*?)[ \t]*$/.exec(text) ?? []
  if (name === undefined || value === undefined) throw new UsageError('--header must look like "Name: value"')
  if (ownHeaders.test(name)) throw new UsageError(/^(?:authorization|x-api-key)$/i.test(name) ? `--header must not be ${name}: set MUXI_API_KEY` : `--header must not be ${name}: the bridge sets it`)
  return [name, value]
}

function wholeOf (text: string, flag: string, least: number, most: number): number {
  const number = Number(text)
  if (!/^\d{1,7}$/.test(text) || number < least || number > most) throw new UsageError(`${flag} must be a whole number from ${least} to ${most}`)
  return number
}

function say (text: string): void {
  process.stderr.write(`muxi-api: ${text}\n`)
}
