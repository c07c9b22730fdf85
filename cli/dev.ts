import { fork, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { resolve as absolute } from 'node:path'
import type { Config } from '../config.ts'
import { isLoopback } from './addresses.ts'
import { flagsOf, settingsHelp, sourceOf } from './options.ts'
import { serve, startOrExplain } from './start.ts'

export const help = `muxi-api dev: serve for development, with a small MUXI Core of our own

Starts the embedded Core where MUXI_CORE_URI points (on loopback), unless a Core answers there already, and the server in
front of it. Needs nothing else. Prints the keys and a call to paste.

Options (those of \`muxi-api start\`, and):
${settingsHelp('dev')}
`

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const random = () => Array.from({ length: 24 }, () => alphabet[randomInt(alphabet.length)]).join('')

/** Serves with the embedded Core, in a process of its own, until SIGTERM or SIGINT. */
export default async function (args: string[]): Promise<void> {
  const flags = flagsOf(args)
  const source = sourceOf(flags)
  const config = source.load()
  const { core, dev } = config
  if (await answers(core.uri)) {
    await serve(await startOrExplain(config, source), { core: core.uri, coreNote: '(was running already)' })
    return
  }
  const keys = {
    user: { value: dev.user_key ?? `sk_muxi_user_${random()}`, generated: dev.user_key === undefined },
    admin: { value: dev.admin_key ?? `sk_muxi_admin_${random()}`, generated: dev.admin_key === undefined }
  }
  const embedded = await startCore(config, keys.user.value, keys.admin.value)
  try {
    const withKeys = (read: Readonly<Config>) => ({ ...read, core: { ...read.core, client_key: keys.user.value, admin_key: keys.admin.value } })
    const ours = sourceOf(flags, withKeys)
    await serve(await startOrExplain(ours.load(), ours), { core: core.uri, coreNote: dev.llm_url === undefined ? '(embedded, built-in model)' : '(embedded)', keys })
  } finally {
    embedded.kill('SIGTERM')
  }
}

async function answers (uri: string): Promise<boolean> {
  try {
    return (await fetch(`${uri}/v1/health`, { signal: AbortSignal.timeout(1_000) })).ok
  } catch {
    return false
  }
}

async function startCore ({ core, dev }: Config, userKey: string, adminKey: string): Promise<ChildProcess> {
  const { hostname, port, pathname, protocol } = new URL(core.uri)
  if (protocol !== 'http:' || !isLoopback(hostname)) {
    throw new Error(`no MUXI Core answers at ${core.uri}, and the embedded one listens on loopback only: set MUXI_CORE_URI to a loopback address, or start that Core`)
  }
  const child = fork(new URL(`../core/embedded/main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: false })
  child.send({
    host: hostname === 'localhost' ? '127.0.0.1' : hostname.replace(/[[\]]/g, ''),
    port: Number(port || 80),
    prefix: pathname === '/' ? '' : pathname,
    userKey,
    adminKey,
    paceMs: 25,
    ...(dev.state !== undefined && { stateFile: absolute(dev.state) }),
    ...(dev.llm_url !== undefined && { llm: { url: dev.llm_url, key: dev.llm_key, model: dev.llm_model } })
  })
  await new Promise<void>((resolve, reject) => {
    child.once('message', (message: { ready?: string, error?: string, code?: string }) => {
      if (message.ready !== undefined) resolve()
      else reject(new Error(message.code === 'EADDRINUSE' ? `port ${port} is taken by something that is no MUXI Core: set another with --core-uri` : `the embedded Core: ${message.error}`))
    })
    child.once('exit', (code) => { reject(new Error(`the embedded Core ended with ${code} before it was ready`)) })
  })
  return child
}
