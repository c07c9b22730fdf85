import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cache, run } from './processes.ts'

/** The programs of a Python environment with the packages of a requirements file; made when it is not there, and kept until the file changes. */
export async function venv (name: string, requirements: string): Promise<string> {
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)
  const folder = join(cache, `py-${name}-${hash}`)
  const programs = join(folder, 'bin')
  if (!existsSync(join(folder, '.complete'))) {
    await run('python3', ['-m', 'venv', '--clear', folder])
    await run(join(programs, 'python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input', '--requirement', requirements])
    writeFileSync(join(folder, '.complete'), '')
  }
  return programs
}
