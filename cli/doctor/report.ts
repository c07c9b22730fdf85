import type { Config } from '../../config.ts'
import { settings } from '../../schemas/config.ts'
import type { Check } from './check.ts'

const colours = { ok: '32', warning: '33', failed: '31' } as const

/** The report as lines for people. */
export function linesOf (checks: Check[], colour: boolean): string {
  const width = Math.max(...checks.map(({ what }) => what.length))
  const lines = checks.flatMap(({ status, what, fact, remedy }) => {
    const word = status.padEnd(7)
    return [
      `${colour ? `\u001b[${colours[status]}m${word}\u001b[0m` : word}  ${what.padEnd(width)}  ${fact}`,
      ...(remedy === undefined ? [] : [`${' '.repeat(9)}→ ${remedy}`])
    ]
  })
  return `${lines.join('\n')}\n`
}

/** The report for programs. */
export function jsonOf (checks: Check[]): string {
  return `${JSON.stringify({ ok: isWell(checks), checks: checks.map(({ id, status, what, fact, remedy }) => ({ id, status, what, fact, ...(remedy !== undefined && { remedy }) })) }, undefined, 2)}\n`
}

/** Warnings are no reason to fail. */
export function isWell (checks: Check[]): boolean {
  return checks.every(({ status }) => status !== 'failed')
}

/** The last defence: what others wrote into an answer or an error may hold a secret of ours. */
export function masked (checks: Check[], secrets: string[]): Check[] {
  // The short ones are parts of words.
  const known = secrets.filter((secret) => secret.length >= 8)
  const mask = (text: string) => known.reduce((masked, secret) => masked.replaceAll(secret, '********'), text.replace(/\/\/[^/@\s]*@/g, '//********@'))
  return checks.map(({ remedy, ...check }) => ({ ...check, fact: mask(check.fact), ...(remedy !== undefined && { remedy: mask(remedy) }) }))
}

/** Everything in the settings that nobody may read. */
export function secretsIn (config: Readonly<Config>): string[] {
  return settings.filter(({ schema }) => schema.secret === true).flatMap(({ group, name }) => {
    const value = (config[group] as Record<string, unknown>)[name]
    return typeof value === 'string' ? [value] : []
  })
}
