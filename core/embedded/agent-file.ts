import { readFile, realpath } from 'node:fs/promises'
import { relative, isAbsolute, resolve, sep } from 'node:path'
import { parse } from 'yaml'
import { invalidMember } from './body.ts'
import { CoreError } from './envelope.ts'

/** Reads an agent's configuration from a YAML or JSON file below the working folder. */
export async function readConfig (path: string): Promise<unknown> {
  if (!/\.(ya?ml|json)$/.test(path)) throw invalidMember('config_path', 'the file must end in .yaml, .yml or .json')
  if (isAbsolute(path) || path.split(/[\\/]/).includes('..') || path.includes('\0')) {
    throw invalidMember('config_path', 'the path must be relative and stay below the working folder')
  }

  const text = await textOf(resolve(path))
  try {
    return parse(text)
  } catch {
    throw invalidMember('config_path', 'the file is neither valid YAML nor valid JSON')
  }
}

async function textOf (path: string): Promise<string> {
  const real = await realpath(path).catch(() => undefined)
  // a link inside the folder may point out of it
  const outside = real === undefined || relative(process.cwd(), real).split(sep)[0] === '..'
  const text = outside ? undefined : await readFile(real, 'utf8').catch(() => undefined)
  if (text === undefined) throw new CoreError(404, 'RESOURCE_NOT_FOUND', 'no such file below the working folder')
  return text
}
