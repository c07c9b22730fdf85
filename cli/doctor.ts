import { readFileSync } from 'node:fs'
import pkg from '../package.json' with { type: 'json' }
import { ConfigError, type Loaded } from '../config.ts'
import { type Check, failed } from './doctor/check.ts'
import { checkCores } from './doctor/core.ts'
import { checkRedis } from './doctor/redis.ts'
import { isWell, jsonOf, linesOf, masked, secretsIn } from './doctor/report.ts'
import { checkServer } from './doctor/server.ts'
import { checkSettings } from './doctor/settings.ts'
import { configOf, flagsOf } from './options.ts'
import { placeOf } from './place.ts'
import { UsageError } from './usage.ts'

const words = 'Count from one to thirty in words.'

export const help = `muxi-api doctor: check the settings, the MUXI Core, Redis, and the running server as its clients reach it

Reads the same settings as \`muxi-api start\`. Each line is ok, a warning or failed, with the remedy below it.
Exit code: 0 (ok or warnings), 1 (something failed), 2 (wrong use).

Options:
  -c, --config FILE   configuration file
  --url URL           where clients reach the server [api.public_url, else api.host and api.port]
  --ca FILE           certificates (PEM) that may have signed the one at that address, in place of those that Node.js trusts
  --key KEY           key of a user for the test chat and /mcp; better MUXI_API_DOCTOR_KEY: others see a command line [core.client_key]
  --say TEXT          what the test chat says to an agent [${words}]
  --no-chat           no test chat: it costs an answer of the language model
  --json              as JSON: { ok, checks: [{ id, status, what, fact, remedy }] }
  and every setting as a flag, as for \`muxi-api start\`
`

const own = { url: { type: 'string' }, ca: { type: 'string' }, key: { type: 'string' }, say: { type: 'string' }, 'no-chat': { type: 'boolean' }, json: { type: 'boolean' } } as const

/** Checks all there is to check, and reports. */
export default async function (args: string[]): Promise<void> {
  const flags = flagsOf(args, own)
  const text = (name: keyof typeof own) => typeof flags[name] === 'string' ? flags[name] : undefined
  const url = text('url')
  if (url !== undefined && !(/^https?:\/\//.test(url) && URL.canParse(url))) throw new UsageError('--url must be an address such as https://api.example.com')
  const ca = text('ca')
  const trusted = ca === undefined ? undefined : fileAt(ca)

  const key = text('key') ?? (process.env.MUXI_API_DOCTOR_KEY || undefined)
  const done = progress()
  let checks: Check[]
  const secrets = key === undefined ? [] : [key]
  try {
    const loaded = configOf(flags)
    secrets.push(...secretsIn(loaded.config))
    checks = await checkAll(loaded, { url, ca: trusted, key, say: flags['no-chat'] === true ? undefined : text('say') ?? words })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    checks = error.message.split('\n').map((fault) => ({ id: 'settings', what: 'settings', ...failed(fault, 'mend it: nothing else is checked before the settings are valid') }))
  } finally {
    done()
  }
  const shown = masked(checks, secrets)
  const report = flags.json === true ? jsonOf(shown) : linesOf(shown, process.stdout.isTTY && !('NO_COLOR' in process.env))
  await new Promise((resolve) => { process.stdout.write(report, resolve) })
  // Not by itself: looking up a name may go on for long after its check has ended.
  process.exit(isWell(checks) ? 0 : 1)
}

/** All groups at once, in the order in which they are read. */
async function checkAll ({ config, file }: Loaded, { url, ca, key, say }: { url: string | undefined, ca: string | undefined, key: string | undefined, say: string | undefined }): Promise<Check[]> {
  const { api, core } = config
  const groups = await Promise.all([
    checkSettings(config, file === undefined ? 'without a file' : `with ${file}`),
    checkCores(core),
    checkRedis(api),
    checkServer(placeOf(api, url, ca), api, { key: key ?? core.client_key, adminKey: core.admin_key, say, release: pkg.version })
  ])
  return groups.flat()
}

function fileAt (path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`--ca ${path} cannot be read (${(error as { code?: string }).code})`, { cause: error })
  }
}

/** Says on a terminal that something goes on, and takes it back. */
function progress (): () => void {
  if (!process.stderr.isTTY) return () => {}
  process.stderr.write('checking …')
  return () => { process.stderr.write('\r\u001b[K') }
}
