import { readFileSync } from 'node:fs'

interface Figure { what: string, unit: string, median: number, target?: { must: number, aim: number } }
interface Result { scenario: string, how: string, date: string, node: string, system: string, figures: Figure[] }

const mark = /(<!-- facts[^>]*-->\n)[^]*(<!-- \/facts -->)/

/** The readme with the figures of the last full benchmark in their place. */
export function factsDocuments (): Record<string, string> {
  const { how, date, node, system, figures } = JSON.parse(readFileSync('bench/results/rest.json', 'utf8')) as Result
  const rows = figures.map(({ what, unit, median, target }) =>
    `| ${what} | ${shown(median)} ${unit} | ${target === undefined ? '' : `at most ${target.must}, aim ${target.aim}`} |`)
  const table = ['| what | median | target |', '| --- | --- | --- |', ...rows].join('\n')
  const text = `Measured ${date} on ${system}, Node ${node}: ${how}; everything on as by default, limits raised.\n\n${table}\n`
  return { 'README.md': readFileSync('README.md', 'utf8').replace(mark, (_, begin: string, end: string) => `${begin}\n${text}\n${end}`) }
}

function shown (value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(3)
}
