import type { FastifyInstance } from 'fastify'
import type { Feature } from '../../plugins/mcp/feature.ts'
import { diagnostics, fixture } from './fixture/index.ts'
import { faultsOf, runRequirements, runScenario, taskScenarios, type Outcome, type Revision } from './suite.ts'
import { startTarget } from './target.ts'

const leastNode = 22
const revisions: Revision[] = ['2025-11-25', '2026-07-28']
const realScenarios = ['tools-list', 'prompts-list', 'resources-list', 'dns-rebinding-protection']

/** The official suite against this server: all that two revisions require, and what of it needs no tool made for it against the tools that are there. */
async function main (): Promise<boolean> {
  if (Number(process.versions.node.split('.')[0]) < leastNode) {
    console.error(`the conformance suite needs Node ${leastNode} or later, and this is ${process.version}: run it with a newer one`)
    return false
  }
  const sums: boolean[] = []
  for (const revision of revisions) {
    const outcomes = await withTarget(async (url) => await runRequirements(url, revision), fixture)
    const isOfTasks = ({ scenario }: Outcome) => taskScenarios.includes(scenario)
    sums.push(report(revision, outcomes.filter((outcome) => !isOfTasks(outcome))))
    if (revision === '2026-07-28') sums.push(report('tasks', taskScenarios.map((scenario) => ({ ...outcomes.find((outcome) => outcome.scenario === scenario) ?? { scenario, checks: [] }, isScored: true }))))
  }
  sums.push(report('the tools that are there', [
    ...await withTarget(async (url) => {
      const outcomes: Outcome[] = []
      for (const revision of revisions) for (const scenario of realScenarios) outcomes.push(await runScenario(url, revision, scenario))
      return [...outcomes, await runScenario(url, '2026-07-28', 'caching')]
    }),
    await withTarget(async (url) => await runScenario(url, '2026-07-28', 'server-stateless'), diagnostics)
  ]))
  return sums.every(Boolean)
}

async function withTarget<T> (use: (url: string) => Promise<T>, more?: (app: FastifyInstance) => Feature): Promise<T> {
  const target = await startTarget(more)
  try {
    return await use(target.url)
  } finally {
    await target[Symbol.asyncDispose]()
  }
}

/** Prints what is wrong and the sum; true where all that is required is green. */
function report (name: string, outcomes: Outcome[]): boolean {
  for (const outcome of outcomes) {
    const faults = faultsOf(outcome)
    if (outcome.isScored) for (const fault of faults) console.log(`${name}: ${outcome.scenario}: ${fault}`)
  }
  const green = (some: Outcome[]) => `${some.filter((one) => faultsOf(one).length === 0).length} of ${some.length}`
  const checksOf = (some: Outcome[]) => some.flatMap(({ checks }) => checks.filter(({ status }) => status !== 'INFO' && status !== 'SKIPPED'))
  const scored = outcomes.filter(({ isScored }) => isScored)
  const others = outcomes.filter(({ isScored }) => !isScored)
  const checks = checksOf(scored)
  console.log(`conformance, ${name}: ${green(scored)} scenarios passed (${checks.filter(({ status }) => status === 'SUCCESS').length} of ${checks.length} checks)`)
  if (others.length > 0) console.log(`conformance, ${name}: ${green(others)} that it does not require${others.filter((one) => faultsOf(one).length > 0).map(({ scenario }, i) => `${i === 0 ? '; not: ' : ', '}${scenario}`).join('')}`)
  return scored.every((one) => faultsOf(one).length === 0)
}

process.exitCode = await main() ? 0 : 1
