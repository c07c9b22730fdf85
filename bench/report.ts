import { cpus } from 'node:os'

/** What was measured, once per round. */
export interface Figure { what: string, unit: string, values: number[], target?: keyof typeof targets }

/** What a scenario hands back: its figures, and how it was run. */
export interface Outcome { how: string, figures: Figure[] }

/** What a scenario is told. */
export interface Options { quick: boolean, say: (line: string) => void }

/** What the figures are held against: `must` is the bound, `aim` the wish. A missed one is shown, and fails nothing. */
export const targets = {
  get: { must: 1.5, aim: 1 },
  start: { must: 1_000, aim: 400 },
  key: { must: 40, aim: 20 },
  delivery: { must: 1, aim: 0.3 },
  nchan: { aim: 1 },
  stream: { must: 25, aim: 12 },
  tool: { must: 2.5, aim: 1.8 },
  sdk: { must: 0.5, aim: 0.5 },
  relay: { must: 1.5, aim: 1.1 }
}

/** Median and range of the rounds. */
export function spread (values: number[]): { median: number, min: number, max: number } {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** The figures as a table for people. */
export function tableOf (name: string, { how, figures }: Outcome): string {
  const rows = figures.map(({ what, unit, values, target }) => {
    const { median, min, max } = spread(values)
    const { must, aim } = target === undefined ? {} : targets[target] as { must?: number, aim?: number }
    const verdict = aim === undefined ? '' : median <= aim ? 'aim reached' : must === undefined ? 'aim missed' : median <= must ? 'must held' : 'must missed'
    return [what, unit, ...[median, min, max].map(short), must === undefined ? '' : `<= ${must}`, aim === undefined ? '' : `<= ${aim}`, verdict]
  })
  const table = [['', '', 'median', 'min', 'max', 'must', 'aim', ''], ...rows]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
  const lines = table.map((row) => row.map((cell, column) => column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)).join('  ').trimEnd())
  return `${name}: ${how}\n${lines.join('\n')}\n`
}

/** The figures for programs, with what they were measured on. */
export function resultOf (name: string, { how, figures }: Outcome): object {
  return {
    scenario: name,
    how,
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    system: `${process.platform} ${process.arch}, ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}`,
    figures: figures.map(({ what, unit, values, target }) => {
      const { median, min, max } = spread(values)
      return { what, unit, median: rounded(median), min: rounded(min), max: rounded(max), ...(target !== undefined && { target: targets[target] }), values: values.map(rounded) }
    })
  }
}

function rounded (value: number): number {
  return Number(value.toPrecision(4))
}

function short (value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
