import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createParser } from 'eventsource-parser'
import type { LogEvent } from '../../../schemas/logs.ts'
import { cache, installed, root, run } from '../processes.ts'
import { followInPage } from './page.ts'

/** Where the stream is, and who may read it. */
export interface Site { url: string, ca?: string, key: string, query: Record<string, string>, after?: string | undefined }

/** Somebody who follows the log: what it has shown, and how it came. */
export interface Follower {
  firstByteMs: number
  protocol: string
  events: { id: string, data: LogEvent }[]
  /** Events in each read that had any. */
  reads: number[]
  /** What it said that is no event. */
  complaints: string[]
  stop: () => Promise<void>
}

export interface Kind { missing: () => string | undefined, follow: (site: Site) => Promise<Follower> }

const go = installed('go') ? 'go' : '/usr/local/go/bin/go'
const needs = (command: string, isThere = installed(command)) => () => isThere ? undefined : `there is no ${command}`

export const kinds: Record<string, Kind> = {
  curl: { missing: needs('curl'), follow: followWithCurl },
  Python: {
    missing: needs('python3'),
    follow: async (site) => await followWithProgram('python3', [join(root, 'examples/python/tail.py')], '--after', site)
  },
  Go: {
    missing: needs('go', installed(go)),
    follow: async (site) => {
      const program = join(cache, 'tail')
      await run(go, ['build', '-o', program, join(root, 'examples/go/tail.go')])
      return await followWithProgram(program, [], '-after', site)
    }
  },
  Chromium: { missing: needs('chromium'), follow: followInPage }
}

/** As followed by a person: the raw answer, its head first. */
async function followWithCurl ({ url, ca, key, query, after }: Site): Promise<Follower> {
  const wish = ['-N', '-s', '-S', '-i', '-H', `Authorization: Bearer ${key}`, ...(ca === undefined ? [] : ['--cacert', ca]), ...(after === undefined ? [] : ['-H', `Last-Event-ID: ${after}`])]
  const { child, follower, begun, first } = begin('curl', [...wish, `${url}/api/v1/logs/stream?${new URLSearchParams(query)}`])
  let head = ''
  let inRead = 0
  const parser = createParser({
    onEvent: ({ event, id, data }) => {
      if (event === 'log') {
        inRead++
        follower.events.push({ id: id!, data: JSON.parse(data) as LogEvent })
      } else follower.complaints.push(`${event} ${data}`)
    }
  })
  child.stdout.on('data', (chunk: string) => {
    inRead = 0
    if (!head.includes('\r\n\r\n')) {
      head += chunk
      const end = head.indexOf('\r\n\r\n')
      if (end === -1) return
      follower.protocol = /^HTTP\/\S+/.exec(head)![0]
      chunk = head.slice(end + 4)
    }
    if (chunk !== '') parser.feed(chunk)
    if (chunk !== '') first()
    if (inRead > 0) follower.reads.push(inRead)
  })
  createInterface(child.stderr).on('line', (line) => { follower.complaints.push(line) })
  return await begun
}

/** Our examples: an id, a tab and the event a line; the connection is told of on the other channel. */
async function followWithProgram (command: string, args: string[], afterOption: string, { url, ca, key, query, after }: Site): Promise<Follower> {
  const wish = [...args, ...(after === undefined ? [] : [afterOption, after]), url, 'logs', ...Object.entries(query).map(([name, value]) => `${name}=${value}`)]
  const { child, follower, begun, first } = begin(command, wish, { MUXI_API_KEY: key, ...(ca !== undefined && { SSL_CERT_FILE: ca }) })
  let rest = ''
  child.stdout.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    if (lines.length > 0) follower.reads.push(lines.length)
    for (const line of lines) {
      const [id, data] = line.split('\t') as [string, string]
      follower.events.push({ id, data: JSON.parse(data) as LogEvent })
    }
  })
  createInterface(child.stderr).on('line', (line) => {
    const protocol = /^following \S+ over (\S+)$/.exec(line)?.[1]
    if (protocol === undefined) {
      follower.complaints.push(line)
      return
    }
    follower.protocol = protocol
    first()
  })
  return await begun
}

function begin (command: string, args: string[], env: Record<string, string> = {}) {
  const began = performance.now()
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.setEncoding('utf8')
  const ended = once(child, 'close')
  const follower: Follower = {
    firstByteMs: 0,
    protocol: '',
    events: [],
    reads: [],
    complaints: [],
    stop: async () => {
      child.kill('SIGKILL')
      await ended
    }
  }
  let first = () => {}
  const begun = new Promise<Follower>((resolve, reject) => {
    first = () => {
      follower.firstByteMs ||= performance.now() - began
      resolve(follower)
    }
    ended.then(() => { reject(new Error(`${command} ended: ${follower.complaints.join(' ')}`)) }, reject)
  })
  return { child, follower, begun, first: () => { first() } }
}
