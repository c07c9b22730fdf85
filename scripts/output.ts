import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Writes generated files, or with `--check` compares them: exit code 1 and the command that mends it when one is stale. */
export function output (files: Record<string, string>, command: string): void {
  const check = process.argv.includes('--check')
  const stale = Object.entries(files).filter(([path, text]) => read(path) !== text)
  for (const [path, text] of stale) {
    if (check) {
      process.stderr.write(`${path} is stale: run \`${command}\` and commit it\n`)
      continue
    }
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    process.stdout.write(`wrote ${path}\n`)
  }
  if (check && stale.length > 0) process.exitCode = 1
}

function read (path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
