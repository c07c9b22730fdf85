import type { Config } from '../../../config.ts'
import { createFileSink } from './file.ts'
import { createHttpSink } from './http.ts'
import type { Sink, SinkOptions } from './sink.ts'

export type SinkName = 'file' | 'external'

/** The sinks that the settings ask for; throws for a format that cannot be. */
export function createSinks (settings: Readonly<Config['api']>, { log, onLost }: { log: SinkOptions['log'], onLost: (sink: SinkName, events: number) => void }): Sink[] {
  const sinks: Sink[] = []
  if (isSet(settings, 'tracing_file')) sinks.push(createFileSink(settings, { log, onLost: (events) => { onLost('file', events) } }))
  if (isSet(settings, 'tracing_external_sink')) sinks.push(createHttpSink(settings, { log, onLost: (events) => { onLost('external', events) } }))
  return sinks
}

function isSet<Name extends keyof Config['api']> (settings: Readonly<Config['api']>, name: Name): settings is Readonly<Config['api']> & { [key in Name]-?: NonNullable<Config['api'][Name]> } {
  return settings[name] !== undefined
}
