import { parse } from 'yaml'
import { invalidMember } from './body.ts'
import { readWorkingFile } from './working-file.ts'

/** Reads an agent's configuration from a YAML or JSON file below the working folder. */
export async function readConfig (path: string): Promise<unknown> {
  if (!/\.(ya?ml|json)$/.test(path)) throw invalidMember('config_path', 'the file must end in .yaml, .yml or .json')
  const text = await readWorkingFile('config_path', path)
  try {
    return parse(text)
  } catch {
    throw invalidMember('config_path', 'the file is neither valid YAML nor valid JSON')
  }
}
