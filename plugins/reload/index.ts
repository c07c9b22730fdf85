import fp from 'fastify-plugin'
import type { Config, SettingsSource } from '../../config.ts'
import { changesOf, liveSettings } from './changes.ts'
import { renewCertificate } from './renewal.ts'
import { watchFiles } from './watch.ts'

export interface Reload {
  /** Reads the settings again and takes what may change. What is not valid changes nothing. */
  now: () => Result
  /** From now on the settings come from there, and are read again when one of the files changes. */
  follow: (source: SettingsSource) => void
}
type Result = 'applied' | 'unchanged' | 'rejected'

declare module 'fastify' {
  interface FastifyInstance {
    reload: Reload
    /** Each setting as it is at the moment of reading. */
    settings: Readonly<Config>
  }
}

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

/** Changes settings and certificate while the server runs. */
export default fp(async (app) => {
  const { reloads, reloaded } = app.metrics
  let source: SettingsSource | undefined
  let close = () => {}

  app.decorate('settings', liveSettings(() => app.config))
  reloaded.setToCurrentTime()

  function take (candidate: Readonly<Config>): Result {
    const { next, applied, restart } = changesOf(app.config, candidate)
    // Told by whichever of the two levels says more: a change to less must not hide itself.
    app.log.level = levels[Math.min(levels.indexOf(app.config.api.log_level), levels.indexOf(next.api.log_level))]!
    for (const change of restart) app.log.warn(change, 'setting needs a restart: the old value stays in force')
    for (const change of applied) app.log.info(change, 'setting changed')
    if (applied.length === 0) app.log.info('the settings are read again: nothing changes')
    app.config = next
    app.log.level = next.api.log_level
    reloaded.setToCurrentTime()
    return applied.length === 0 ? 'unchanged' : 'applied'
  }

  function now (): Result {
    let candidate: Readonly<Config>
    try {
      candidate = source?.load() ?? app.config
    } catch (error) {
      app.log.error({ faults: (error as Error).message.split('\n') }, 'the changed settings are not valid: the old ones stay in force')
      return 'rejected'
    }
    return take(candidate)
  }

  const counted = () => {
    const result = now()
    reloads.inc({ result })
    return result
  }

  const watch = () => {
    close()
    if (source !== undefined) close = watchFiles(source.files, counted)
  }
  app.decorate('reload', {
    now: () => {
      // Anew, so that what is read now is not taken for another change.
      watch()
      return counted()
    },
    follow: (from) => {
      source = from
      watch()
    }
  })
  app.addHook('onClose', async () => { close() })

  const { tls_cert: cert, tls_key: key } = app.config.api
  if (cert !== undefined && key !== undefined) renewCertificate(app, { cert, key })
}, { name: 'reload', dependencies: ['telemetry'] })
