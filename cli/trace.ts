import { setTimeout as sleep } from 'node:timers/promises'
import type { Place } from './doctor/visit.ts'
import { configOf, flagsOf } from './options.ts'
import { placeOf } from './place.ts'
import { askedIn, levels, type Asked, type Told } from './trace/asked.ts'
import { newest, ofFile } from './trace/kept.ts'
import { isColourful, jsonOf, lineOf, visible } from './trace/lines.ts'
import { Away, list, serverAt } from './trace/server.ts'
import { follow as followStream } from './trace/stream.ts'
import { UsageError } from './usage.ts'

export const help = `muxi-api trace: read spans and the log, of a server or of a file, or follow them

Without --file the server is asked: for the newest spans that it keeps, the oldest of them first; with -f for what comes from now on.
A stream that breaks off is taken up again where it ended. What is missing, and every break, is told on standard error.
Exit code: 0 (also at Ctrl-C), 1 (no server, no such file, a key that is refused), 2 (wrong use).

Options:
  -f, --follow        go on with what comes; with --from, what is kept since then comes first
  --logs              the log instead of spans; without -f what is kept of it since --from [10m]
  --component NAME    only what this component did, such as core
  --operation NAME    only this operation, such as call, or agent_list
  --trace-id ID       only this trace; its first 8 digits are enough
  --level LEVEL       ${levels.join(', ')}: the least; of spans error means those that failed, all others mean all
  --from TIME         only what began since 2026-03-02T09:30:45Z, or since 30s, 10m, 2h, 1d ago
  --limit N           lines at most, the newest; with -f the first, then it ends [100; no limit with -f or --file]
  --output FORM       text, or json: an object a line [text]
  --file PATH         read a file instead: that of api.tracing_file, or standard output of the server; .gz is unpacked, - is standard input
  --host HOST         the server, as host:port or as an address such as https://api.example.com [api.public_url, else api.host and api.port]
  --key KEY           an admin key; better MUXI_API_TRACE_KEY: others see a command line [core.admin_key, without --host]
  -c, --config FILE   configuration file; and every setting as a flag, as for \`muxi-api start\`

Colours on a terminal only; NO_COLOR and FORCE_COLOR are heeded.
`

const own = {
  follow: { type: 'boolean', short: 'f' },
  logs: { type: 'boolean' },
  component: { type: 'string' },
  operation: { type: 'string' },
  'trace-id': { type: 'string' },
  level: { type: 'string' },
  from: { type: 'string' },
  limit: { type: 'string' },
  output: { type: 'string' },
  file: { type: 'string' },
  key: { type: 'string' }
} as const

type Flags = Record<string, string | boolean | undefined>

const quietMs = 2_000

/** Prints what was asked for. */
export default async function (args: string[]): Promise<void> {
  const flags = flagsOf(args, own)
  const { output = 'text', file } = flags
  if (output !== 'text' && output !== 'json') throw new UsageError('--output must be text or json')
  const asked = askedIn(flags)
  // Who reads no more, such as `head`, has had enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => { process.exit(error.code === 'EPIPE' ? 0 : 1) })
  const colour = isColourful(process.env, process.stdout)
  const show = (told: Told | string) => output === 'json'
    ? jsonOf(typeof told === 'string' ? { message: told } : told)
    : typeof told === 'string' ? visible(told) : lineOf(told, colour)
  let left = asked.limit
  for await (const told of typeof file === 'string' ? ofFile(file, asked, say) : ofServer(flags, asked)) {
    if (!process.stdout.write(`${show(told)}\n`)) await new Promise((resolve) => { process.stdout.once('drain', resolve) })
    if (left !== undefined && --left === 0) break
  }
}

async function * ofServer (flags: Flags, asked: Asked): AsyncGenerator<Told, void, undefined> {
  const { place, key, heartbeatMs } = serverIn(flags)
  const enough = new AbortController()
  const server = serverAt(place, { key, heartbeatMs, signal: enough.signal })
  try {
    if (asked.follow) yield * followStream(server, asked, say)
    else if (asked.topic === 'logs') yield * newest(keptOf(followStream(server, { ...asked, from: asked.from ?? new Date(Date.now() - 600_000).toISOString() }, say)), asked.limit ?? 100)
    else {
      const { events, isAll } = await list(server, asked, say)
      yield * events
      if (events.length === 0) say('nothing that is kept fits')
      else if (!isAll && asked.limit === undefined) say(`these are the newest ${events.length}; --limit shows more`)
    }
  } catch (error) {
    if (error instanceof Away) throw new Error(`${error.message}: start the server, or name another with --host`, { cause: error })
    throw error
  } finally {
    enough.abort()
    await server.dispatcher.destroy()
  }
}

/** There is no list of the log, only its stream: what is kept of it has come when nothing follows, or something newer than the question. */
async function * keptOf (stream: AsyncGenerator<Told, void, undefined>): AsyncGenerator<Told, void, undefined> {
  const now = Date.now()
  for (;;) {
    const quiet = new AbortController()
    const next = await Promise.race([stream.next(), sleep(quietMs, undefined, { signal: quiet.signal })])
    quiet.abort()
    if (next === undefined || next.done === true || Date.parse(String(next.value.timestamp)) > now) return
    yield next.value
  }
}

function serverIn ({ host, key: given, ...flags }: Flags): { place: Place, key: string | undefined, heartbeatMs: number } {
  const isWhole = typeof host === 'string' && (host.includes('/') || /^[^:]+:\d+$|^\[.*\]:\d+$/.test(host))
  const { config: { api, core } } = configOf({ ...flags, ...(!isWhole && { host }) })
  const key = (typeof given === 'string' ? given : process.env.MUXI_API_TRACE_KEY) || (host === undefined ? core.admin_key : undefined)
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) throw new UsageError('the key must be printable ASCII without blanks')
  return { place: isWhole ? { url: urlOf(host) } : placeOf(host === undefined ? api : { ...api, public_url: undefined }), key, heartbeatMs: api.stream_heartbeat_ms }
}

function urlOf (host: string): string {
  const text = /^[a-z]+:\/\//.test(host) ? host : `http://${host}`
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) throw new UsageError('--host must be like localhost:8000 or https://api.example.com')
  const { origin, pathname } = new URL(text)
  return `${origin}${pathname.replace(/\/+$/, '')}`
}

function say (text: string): void {
  process.stderr.write(`muxi-api: ${text}\n`)
}
