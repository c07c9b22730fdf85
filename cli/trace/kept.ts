import { fits, isSpan, type Asked, type Told } from './asked.ts'
import { follow, linesOf } from './file.ts'

/** The events that a file holds and somebody wants, as they stand there; where nothing is filtered its other lines, too. */
export async function * ofFile (path: string, asked: Asked, say: (text: string) => void): AsyncGenerator<Told | string, void, undefined> {
  const follows = asked.follow && path !== '-' && !path.endsWith('.gz')
  const wanted = wantedOf(follows ? follow(path, asked.from !== undefined) : linesOf(path), asked, say)
  try {
    yield * asked.follow || asked.limit === undefined ? wanted : newest(wanted, asked.limit)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new Error(code === 'ENOENT' ? `there is no file ${path}` : `${path} cannot be read (${code ?? message})`, { cause: error })
  }
}

/** The last of them, once all have come. */
export async function * newest<T> (all: AsyncIterable<T>, most: number): AsyncGenerator<T, void, undefined> {
  let last: T[] = []
  for await (const one of all) if (last.push(one) >= most * 2) last = last.slice(-most)
  yield * last.slice(-most)
}

async function * wantedOf (lines: AsyncIterable<string>, asked: Asked, say: (text: string) => void): AsyncGenerator<Told | string, void, undefined> {
  const isFiltered = asked.topic === 'logs' || [asked.component, asked.operation, asked.traceId, asked.from, asked.level].some((value) => value !== undefined)
  let isTold = false
  for await (const line of lines) {
    const told = toldIn(line)
    if (told !== undefined) {
      if (fits(asked, told) && !(asked.topic === 'logs' && isSpan(told))) yield told
    } else if (!isFiltered) yield line
    else if (!isTold) {
      isTold = true
      say('lines that are no JSON are left out: filters need their fields')
    }
  }
}

function toldIn (line: string): Told | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line) as Told
  } catch {
    return undefined
  }
}
