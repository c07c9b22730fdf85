import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cache, root } from './processes.ts'

/** Where traefik/build.sh puts Traefik: another place whenever the go.mod changes. */
export const traefik = join(cache, `traefik-${createHash('sha256').update(readFileSync(join(root, 'test/e2e/traefik/go.mod'))).digest('hex').slice(0, 12)}`, 'traefik')

/** Why there is no Traefik to start; undefined where there is. */
export function traefikMissing (): string | undefined {
  return existsSync(traefik) ? undefined : 'Traefik is not built: test/e2e/traefik/build.sh'
}
