import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { stopAll } from './processes.ts'
import { resultOf, tableOf, type Options, type Outcome } from './report.ts'

const scenarios: Record<string, () => Promise<{ default: (options: Options) => Promise<Outcome> }>> = {
  rest: async () => await import('./scenarios/rest.ts'),
  keys: async () => await import('./scenarios/keys.ts'),
  sse: async () => await import('./scenarios/sse.ts'),
  mcp: async () => await import('./scenarios/mcp.ts'),
  socket: async () => await import('./scenarios/socket.ts')
}

const usage = `Measures the CPU time of muxi-api per unit of work, against bare peers in the same run.

Usage: node dist/bench/run.js [scenario] [options]     (after npx tsc)

Scenarios: ${Object.keys(scenarios).join(', ')} (default rest)

  --quick        few short rounds, under a minute: shows breakage, not percents
  --json FILE    write the figures there, too
  --help         this
`

const { values: { quick = false, json, help }, positionals: [name = 'rest'] } = arguments_()
const load = scenarios[name]
if (help === true) {
  process.stdout.write(usage)
} else if (load === undefined) {
  process.stderr.write(`there is no scenario "${name}"\n${usage}`)
  process.exitCode = 2
} else {
  process.exitCode = await run(load)
}

function arguments_ () {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { quick: { type: 'boolean' }, json: { type: 'string' }, help: { type: 'boolean', short: 'h' } }
    })
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${usage}`)
    process.exit(2)
  }
}

async function run (load: (typeof scenarios)[string]): Promise<number> {
  const started = performance.now()
  let givenUp = false
  const give = (reason: string) => {
    givenUp = true
    process.stderr.write(`${reason}\n`)
    stopAll().finally(() => process.exit(1)).catch(() => {})
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, give)
  const bound = setTimeout(give, quick ? 60_000 : 300_000, 'the run takes too long')
  const say = (line: string) => { process.stderr.write(`${((performance.now() - started) / 1_000).toFixed(1).padStart(6)} s  ${line}\n`) }
  try {
    const { default: scenario } = await load()
    const outcome = await scenario({ quick, say })
    process.stdout.write(`\n${tableOf(name, outcome)}`)
    if (json !== undefined) {
      await mkdir(dirname(json), { recursive: true })
      await writeFile(json, `${JSON.stringify(resultOf(name, outcome), null, 2)}\n`)
    }
    return 0
  } catch (error) {
    // What breaks because we end it is no news.
    if (!givenUp) process.stderr.write(`${(error as Error).stack}\n`)
    return 1
  } finally {
    clearTimeout(bound)
    await stopAll()
  }
}
