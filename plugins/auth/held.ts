import type { Caller } from '../../core/credentials.ts'
import { ApiError } from '../../errors.ts'
import { rank, type Access } from '../../schemas/contract.ts'
import type { Verdicts, Yes } from './verdicts.ts'

type End = (reason: ApiError) => void
interface Held { proof: string, needs: Exclude<Access, 'public'>, end: End }

/** What stays open under keys after their check: streams. Short requests run to their end. */
export interface HeldOpen {
  /** Answers the function that lets go. */
  add: (caller: Caller, needs: Access, end: End) => () => void
  /** Ends all that is open under a key, or under a token. */
  end: (digest: string, reason: ApiError) => void
  close: () => void
}

const reviewMs = 1_000

/** Looks once a second whether each key is still good: from memory while its verdict is fresh, then by asking again. */
export function holdOpen (verdicts: Pick<Verdicts, 'known' | 'ask'>): HeldOpen {
  const all = new Map<string, Set<Held>>()
  const end = (digest: string, reason: ApiError, which: (held: Held) => boolean = () => true) => {
    for (const held of [...all.get(digest) ?? []]) if (which(held)) held.end(reason)
  }
  const put = (digest: string, held: Held) => {
    const mine = all.get(digest) ?? new Set()
    all.set(digest, mine.add(held))
    return () => {
      if (mine.delete(held) && mine.size === 0 && all.get(digest) === mine) all.delete(digest)
    }
  }
  const judge = (digest: string, { verdict: { access } }: Yes) => { end(digest, new ApiError('forbidden', 'the key has a lower level by now'), ({ needs }) => rank[access] < rank[needs]) }
  const review = (digest: string, proof: string) => {
    const known = verdicts.known(proof, digest)
    // Refused ones were ended when the no came. What is answered may be out of date at the next look.
    if (known === undefined) {
      verdicts.ask(proof, digest).then(
        (yes) => { if (yes !== undefined) judge(digest, yes) },
        (error: unknown) => { end(digest, error instanceof ApiError ? error : new ApiError('core_unavailable', 'the key cannot be checked', { cause: error })) }
      )
    } else if (known !== 'refused') judge(digest, known)
  }
  const timer = setInterval(() => {
    for (const [digest, [first]] of all) if (first !== undefined && first.proof !== '') review(digest, first.proof)
  }, reviewMs)
  timer.unref()

  return {
    add: ({ keyDigest, tokenDigest, proof }, needs, onEnd) => {
      if (needs === 'public') return () => {}
      const letGo = [put(keyDigest, { proof, needs, end: onEnd })]
      if (tokenDigest !== undefined) letGo.push(put(tokenDigest, { proof: '', needs, end: onEnd }))
      return () => { for (const go of letGo) go() }
    },
    end,
    close: () => { clearInterval(timer) }
  }
}
