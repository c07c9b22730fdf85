import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { isAbsolute, relative, resolve, sep } from 'node:path'
import { invalidMember } from './body.ts'
import { CoreError } from './envelope.ts'

const mostBytes = 5 * 1024 * 1024

/** Reads a text below the working folder, named by a member of a body. */
export async function readWorkingFile (member: string, path: string): Promise<string> {
  if (isAbsolute(path) || path.split(/[\\/]/).includes('..') || path.includes('\0')) {
    throw invalidMember(member, 'the path must be relative and stay below the working folder')
  }
  const real = await realpath(resolve(path)).catch(() => undefined)
  // a link inside the folder may point out of it
  if (real === undefined || relative(process.cwd(), real).split(sep)[0] === '..') throw notThere()
  // without O_NONBLOCK a named pipe would hold the open back until somebody writes
  await using file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => { throw notThere() })
  const stats = await file.stat()
  if (!stats.isFile()) throw notThere()
  if (stats.size > mostBytes) throw invalidMember(member, 'the file is larger than 5 MiB')
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await file.readFile())
  } catch {
    throw invalidMember(member, 'the file is no UTF-8 text')
  }
}

function notThere (): CoreError {
  return new CoreError(404, 'RESOURCE_NOT_FOUND', 'no such file below the working folder')
}
