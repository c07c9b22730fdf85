import type { Config, SettingsSource } from '../config.ts'
import type { Running } from '../server.ts'
import { start } from '../server.ts'
import { onHangup, stopSignal } from './signals.ts'
import { splash, type Facts } from './splash.ts'
import { flagsOf, settingsHelp, sourceOf } from './options.ts'

export const help = `muxi-api start: serve in front of the MUXI Core (default command)

Listens at once; /health/ready answers 200 when the MUXI Core has passed the check.
SIGHUP, or a change of a file that a setting came from, reads the settings again (\`muxi-api config\` says which may change so).

Options (each also as environment variable or in muxi-api.yaml; \`muxi-api config\` shows all with their meaning):
  -c, --config FILE            configuration file
${settingsHelp('core')}
${settingsHelp('api')}
`

/** Serves until SIGTERM or SIGINT. */
export default async function (args: string[]): Promise<void> {
  // Early, so that a reload that comes during the start does not end it: the start reads the settings anyway.
  let reload = () => {}
  onHangup(() => { reload() })
  const source = sourceOf(flagsOf(args))
  const config = source.load()
  const running = await startOrExplain(config, source)
  reload = () => { running.app.reload.now() }
  await serve(running, { core: config.core.uri })
}

/** Starts; a taken port or address becomes one line instead of a stack. */
export async function startOrExplain (config: Readonly<Config>, source: SettingsSource): Promise<Running> {
  try {
    return await start(config, source)
  } catch (error) {
    const { code } = error as { code?: string }
    const { host, port } = config.api
    if (code === 'EADDRINUSE') throw new Error(`port ${port} on ${host} is taken: stop what listens there, or choose another with --port`, { cause: error })
    if (code === 'EACCES') throw new Error(`port ${port} on ${host} may not be used by this user: choose one from 1024 up with --port`, { cause: error })
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') throw new Error(`this machine has no address ${host}: set another with --host`, { cause: error })
    throw error
  }
}

/** Shows the splash on a terminal (elsewhere only where it tells of keys or of the Core), then waits for the signal to stop. */
export async function serve ({ app, url, stop }: Running, facts: Omit<Facts, 'version' | 'url'>): Promise<void> {
  if (process.stderr.isTTY || facts.keys !== undefined || facts.coreNote !== undefined) {
    process.stderr.write(splash({ version: app.release, url: app.config.api.public_url ?? url, ...facts }, process.stderr.isTTY && !('NO_COLOR' in process.env)))
  }
  await stopSignal()
  await stop()
}
