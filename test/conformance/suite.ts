import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'

export type Revision = '2025-11-25' | '2026-07-28'
interface Check { id: string, status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO', description: string, errorMessage?: string }
/** What became of one scenario; `isScored`: the revision requires it. */
export interface Outcome { scenario: string, isScored: boolean, checks: Check[] }
interface Requirements { server: string[], not_scored: { scenario: string, leg: string }[] }

const limitMs = 200_000
const program = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/dist/index.js')

/** The scenarios that a revision requires of a server. */
export async function requiredBy (revision: Revision): Promise<string[]> {
  return (await requirementsOf(revision)).server
}

/** Scenarios of the tasks extension, which no revision requires; `tasks-status-notifications` tests nothing yet. */
export const taskScenarios = ['lifecycle', 'capability-negotiation', 'wire-fields', 'request-state-removal', 'mrtr-input', 'request-headers', 'dispatch-and-envelope', 'required-task-error', 'mrtr-composition'].map((name) => `tasks-${name}`)

/** Runs the scenarios that a revision requires of a server, and those that the suite runs beside them. */
export async function runRequirements (url: string, revision: Revision): Promise<Outcome[]> {
  const { server, not_scored: others } = await requirementsOf(revision)
  const names = [...server, ...others.filter(({ leg }) => leg === 'server').map(({ scenario }) => scenario)]
  const found = await run(['--url', url, '--requirements', revision])
  return names.map((scenario) => ({ scenario, isScored: server.includes(scenario), checks: found.get(scenario) ?? missing }))
}

/** Runs one scenario as of a revision. */
export async function runScenario (url: string, revision: Revision, scenario: string): Promise<Outcome> {
  // No revision has those of extensions.
  const found = await run(['--url', url, '--spec-version', revision, '--scenario', scenario, ...(taskScenarios.includes(scenario) ? ['--force'] : [])])
  return { scenario, isScored: true, checks: found.get(scenario) ?? missing }
}

/** What is wrong with a scenario; nothing when it is green. Neither a warning is green nor what was left out. */
export function faultsOf ({ checks }: Outcome): string[] {
  const faults = checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
  if (faults.length === 0 && !checks.some(({ status }) => status === 'SUCCESS')) return ['nothing of it applied']
  return faults.map(({ id, status, description, errorMessage }) => `${status} ${id}: ${errorMessage ?? description}`)
}

async function requirementsOf (revision: Revision): Promise<Requirements> {
  return parse(await readFile(join(dirname(program), `../requirements/${revision}.yaml`), 'utf8')) as Requirements
}

const missing: Check[] = [{ id: 'none', status: 'FAILURE', description: 'the scenario has not ended' }]

/** The checks by scenario, from the files that the suite writes: its exit code does not tell of warnings. */
async function run (args: string[]): Promise<Map<string, Check[]>> {
  const folder = await mkdtemp(join(tmpdir(), 'conformance-'))
  try {
    const child = spawn(process.execPath, [program, 'server', ...args, '--output-dir', folder], { stdio: ['ignore', 'pipe', 'pipe'], timeout: limitMs, killSignal: 'SIGKILL' })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => { said = (said + piece.toString()).slice(-4_000) })
    await once(child, 'close')
    const found = new Map<string, Check[]>()
    for (const name of await readdir(folder)) {
      const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT/.exec(name)?.[1]
      if (scenario !== undefined) found.set(scenario, JSON.parse(await readFile(join(folder, name, 'checks.json'), 'utf8')) as Check[])
    }
    if (found.size === 0) throw new Error(`the suite has run nothing: ${said}`)
    return found
  } finally {
    await rm(folder, { recursive: true })
  }
}
