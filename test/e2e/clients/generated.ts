import { copyFile, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root, run } from '../processes.ts'
import { venv } from '../venv.ts'

/** A client of one language, generated into a folder of its own. */
export interface Generated {
  /** All that the generator said. */
  said: string
  /** The operations that it knows. */
  operations: string[]
  /** Compiles a program of this folder or of the guide, and runs it. */
  run: (program: string, args: string[], env?: Record<string, string>) => Promise<string>
}

const document = join(root, 'openapi.json')
const here = new URL('.', import.meta.url).pathname

/** openapi-typescript and openapi-fetch; the compiler checks every library's types, too. */
export async function typescript (folder: string): Promise<Generated> {
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  const bin = join(root, 'node_modules/.bin')
  // Elsewhere than where the linter's settings are: it takes them for its own.
  const { stdout, stderr } = await run(join(bin, 'openapi-typescript'), [document, '--output', join(folder, 'muxi.d.ts')], { cwd: folder, env: { ...process.env, NO_COLOR: '1' } })
  const types = await readFile(join(folder, 'muxi.d.ts'), 'utf8')
  const [, operations = ''] = types.split('export interface operations {')
  return {
    said: stdout + stderr,
    operations: [...operations.matchAll(/^ {4}(\w+): \{$/gm)].map(([, name]) => name!),
    run: async (program, args, env) => {
      await place(program, folder, 'program.ts')
      await complaining(run(join(bin, 'tsc'), ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node', 'program.ts'], { cwd: folder }))
      return (await run(process.execPath, ['program.js', ...args], { cwd: folder, env: { ...process.env, ...env } })).stdout
    }
  }
}

/** openapi-python-client; mypy checks the program against it. */
export async function python (folder: string): Promise<Generated> {
  const bin = await venv('clients', join(here, 'requirements.txt'))
  // The generator looks for its formatter in the PATH.
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, PYTHONDONTWRITEBYTECODE: '1' }
  const { stdout, stderr } = await run(join(bin, 'openapi-python-client'), ['generate', '--path', document, '--meta', 'none', '--output-path', 'muxi', '--fail-on-warning'], { cwd: folder, env })
  const files = await readdir(join(folder, 'muxi/api'), { recursive: true })
  const python = join(bin, 'python')
  return {
    said: stdout + stderr,
    operations: files.flatMap((file) => /(?:^|\/)([a-z]\w+)\.py$/.exec(file)?.[1] ?? []),
    run: async (program, args, more) => {
      await place(program, folder, 'program.py')
      await complaining(run(python, ['-W', 'error', '-m', 'compileall', '-q', '.'], { cwd: folder, env }))
      await complaining(run(join(bin, 'mypy'), ['--strict', '--follow-imports=silent', 'program.py'], { cwd: folder, env }))
      return (await run(python, ['program.py', ...args], { cwd: folder, env: { ...env, ...more } })).stdout
    }
  }
}

/** A program is the name of a file of this folder, or its text. */
async function place (program: string, folder: string, name: string): Promise<void> {
  if (program.includes('\n')) await writeFile(join(folder, name), program)
  else await copyFile(join(here, program), join(folder, name))
}

/** Compilers complain on stdout, which the error of a process leaves out. */
async function complaining (running: Promise<unknown>): Promise<void> {
  await running.catch((error: Error & { stdout?: string }) => { throw new Error(error.message + (error.stdout ?? ''), { cause: error }) })
}
