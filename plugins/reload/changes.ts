import type { Config } from '../../config.ts'
import { settings, shown } from '../../schemas/config.ts'

/** One setting that differs, as it may be shown. */
export interface Change { setting: string, from: string, to: string }
export interface Changes {
  /** The old settings with what may change at run time taken from the candidate. */
  next: Readonly<Config>
  applied: Change[]
  /** What the candidate wants otherwise, but only a start can bring. */
  restart: Change[]
}

/** Compares two configurations, setting by setting. What stays the same keeps its identity: what was made of it is still good. */
export function changesOf (old: Readonly<Config>, candidate: Readonly<Config>): Changes {
  const changes: Changes = { next: old, applied: [], restart: [] }
  const groups: Record<string, Record<string, unknown>> = {}
  for (const setting of settings) {
    const before = valueIn(old, setting)
    const after = valueIn(candidate, setting)
    if (JSON.stringify(before) === JSON.stringify(after)) continue
    const change = { setting: setting.path, from: shown(setting, before), to: shown(setting, after) }
    if (setting.schema.reload !== true) {
      changes.restart.push(change)
      continue
    }
    changes.applied.push(change)
    const group = groups[setting.group] ??= { ...old[setting.group] }
    if (after === undefined) delete group[setting.name]
    else group[setting.name] = after
  }
  // Each value was validated as part of its own configuration.
  if (changes.applied.length > 0) changes.next = Object.freeze({ ...old, ...groups }) as Readonly<Config>
  for (const group of Object.values(groups)) Object.freeze(group)
  return changes
}

/**
 * The settings with the value of the moment under each name, in objects that stay: for what is made once and lives long,
 * and must not copy. Who needs several at the same moment takes `app.config`.
 */
export function liveSettings (current: () => Readonly<Config>): Readonly<Config> {
  const groups: Record<string, object> = {}
  for (const { group, name } of settings) {
    // A getter per setting and not a Proxy: calls to the Core read them.
    Object.defineProperty(groups[group] ??= {}, name, { enumerable: true, get: () => (current()[group] as Record<string, unknown>)[name] })
  }
  return groups as unknown as Readonly<Config>
}

function valueIn (config: Readonly<Config>, { group, name }: { group: keyof Config, name: string }): unknown {
  return (config[group] as Record<string, unknown>)[name]
}
