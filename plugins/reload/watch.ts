import { statSync } from 'node:fs'
import { stat } from 'node:fs/promises'

interface Facts { dev: bigint, ino: bigint, size: bigint, mtimeNs: bigint }

/**
 * Calls back when one of the files is another than before, or came or went; gives back how to end it.
 *
 * Looks every second, and waits until a look finds what the one before found: who writes two files, or one in pieces, is not
 * caught in the middle. Not fs.watch: it says nothing of a single file that is mounted into a container, of network file
 * systems, and of a file whose link further up is turned to another folder (the `..data` of Kubernetes), all of which
 * a look by path sees; and a handful of them costs nothing.
 */
export function watchFiles (paths: () => Iterable<string>, onChange: () => void, everyMs = 1_000): () => void {
  // At once: what is written from now on is a change.
  let taken = new Map([...paths()].map((path) => [path, printNow(path)]))
  let last = taken
  let closed = false
  const look = async () => {
    const seen = new Map(await Promise.all([...paths()].map(async (path): Promise<[string, string]> => [path, await print(path)])))
    if (closed) return
    // A file that is looked at for the first time was read a moment ago: it is not a change.
    const changed = [...seen].some(([path, now]) => (taken.get(path) ?? now) !== now)
    const settled = [...seen].every(([path, now]) => (last.get(path) ?? now) === now)
    last = seen
    if (changed && !settled) return
    taken = seen
    if (changed) onChange()
  }
  let looking = false
  const timer = setInterval(() => {
    // A file system that hangs is not asked again.
    if (looking) return
    looking = true
    look().finally(() => { looking = false })
  }, everyMs)
  timer.unref()
  return () => {
    closed = true
    clearInterval(timer)
  }
}

async function print (path: string): Promise<string> {
  try {
    return of(await stat(path, { bigint: true }))
  } catch {
    return 'absent'
  }
}

function printNow (path: string): string {
  const facts = statSync(path, { bigint: true, throwIfNoEntry: false })
  return facts === undefined ? 'absent' : of(facts)
}

function of ({ dev, ino, size, mtimeNs }: Facts): string {
  return `${dev}:${ino}:${size}:${mtimeNs}`
}
