import { CoreError } from './envelope.ts'

/** Turns a change away that was made from another version than the one that is there. */
export function requireVersion (ifMatch: string | undefined, version: number): void {
  if (ifMatch === undefined || ifMatch.trim() === '*') return
  const named = ifMatch.split(',').map((tag) => tag.trim())
  if (!named.includes(`"${version}"`)) throw new CoreError(412, 'PRECONDITION_FAILED', `this is version "${version}" by now`)
}
