import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { root } from '../e2e/processes.ts'
import { venv } from '../e2e/venv.ts'
import { keys, type Target } from './target.ts'

const folder = join(root, 'test/fuzz')

/** The program of the pinned schemathesis; installed when it is not there. */
export async function program (): Promise<string> {
  return join(await venv('schemathesis', join(folder, 'requirements.txt')), 'st')
}

export interface Wish { level: keyof typeof keys, examples: number, seed: number }

/** Calls every operation of the document, every way the tool knows, with the key of a level; all that it said, and whether it found something. */
export async function generatedCalls ({ url, folder: cwd, toolServer }: Target, { level, examples, seed }: Wish): Promise<{ found: boolean, report: string }> {
  const child = spawn(await program(), [
    '--config-file', join(folder, 'schemathesis.toml'),
    'run', `${url}/openapi.json`,
    '--checks', 'all',
    '--phases', 'examples,coverage,fuzzing,stateful',
    '--max-examples', String(examples),
    '--seed', String(seed),
    '--no-color'
  ], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      // A proxy of whoever runs this is no loopback address.
      NO_PROXY: '*',
      PYTHONDONTWRITEBYTECODE: '1',
      COLUMNS: '160',
      FUZZ_HOOKS: join(folder, 'exceptions.py'),
      FUZZ_KEY: keys[level],
      FUZZ_TOOL_SERVER: toolServer
    }
  })
  let report = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { report += chunk.toString() })
  const code = await new Promise<number | null>((resolve) => { child.once('close', resolve) })
  return { found: code !== 0, report }
}
