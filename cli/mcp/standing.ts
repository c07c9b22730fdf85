import { follow, type Parts } from './exchange.ts'
import { Refusal, SessionLost } from './remote.ts'
import { Trouble } from './trouble.ts'

/** Passes on what the server has to say beside its answers (revisions of 2025), until the signal. */
export async function stand (parts: Parts, say: (text: string) => void, signal: AbortSignal): Promise<void> {
  const { remote, session, patience } = parts
  const attempt = { failures: 0 }
  const write = async (text: string) => {
    await parts.write(text)
    return false
  }
  while (!signal.aborted) {
    const { id } = session
    try {
      const reply = await remote.send('GET', session.headers(), { signal })
      patience.found()
      await follow(parts, { reply, attempt, session, isStanding: true, write }, signal)
    } catch (error) {
      const failure = error instanceof SessionLost ? await session.restore(id).catch((still: unknown) => still) : error
      // 405: there is no such stream.
      if (signal.aborted || failure instanceof Refusal) return
      if (failure === undefined) continue
      if (!(failure instanceof Trouble) || !failure.isPassing) {
        say(`the stream of the session: ${(failure as Error).message}`)
        return
      }
      await patience.wait(failure, attempt, signal, failure.afterMs, Infinity).catch(() => {})
    }
  }
}
