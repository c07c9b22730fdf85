import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cache, run } from './processes.ts'

/** The programs of a Python environment with the packages of a requirements file; made when it is not there, once however many ask, and kept until the file changes. */
export async function venv (name: string, requirements: string): Promise<string> {
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)
  const folder = join(cache, `py-${name}-${hash}`)
  if (!existsSync(join(folder, '.complete'))) {
    mkdirSync(cache, { recursive: true })
    await run('flock', [`${folder}.lock`, 'sh', '-ec', make, folder, requirements])
  }
  return join(folder, 'bin')
}

const make = `
  [ ! -e "$0/.complete" ] || exit 0
  python3 -m venv --clear "$0"
  "$0/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --requirement "$1"
  touch "$0/.complete"
`
