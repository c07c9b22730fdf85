import { fits, type Client, type Gap, type Position, type Step } from './clients.ts'
import type { Happening } from './faults.ts'
import type { Publication } from './publishers.ts'
import { Truth } from './truth.ts'

/** What a client went through. */
export type Journey = Pick<Client, 'name' | 'filter' | 'mayGap' | 'steps' | 'problems'>
/** `history`: how many events are kept. */
export interface Evidence { journeys: Journey[], publications: Pick<Publication, 'publisher' | 'n' | 'level' | 'service' | 'state'>[], happenings: Omit<Happening, 'name'>[], history: number }

/** Who was away while the history was cut off is told so as long after it. */
const awayMs = 5_000
/** An event reaches the first client so long after another at the latest. */
const lateMs = 1_000

type Published = Map<string, Evidence['publications'][number]>

/** Everything in which the clients were not given what they were owed; none, when no event was lost in silence. */
export function judge (evidence: Evidence): string[] {
  const { journeys, publications } = evidence
  const published: Published = new Map(publications.map((publication) => [`${publication.publisher}-${publication.n}`, publication]))
  const truth = new Truth(journeys)
  return journeys.flatMap((journey) => {
    const trial = new Trial(journey, truth, published, evidence)
    return [...journey.problems, ...trial.problems]
  })
}

/** The gaps that were told, by reason. */
export function gapsOf (journeys: Journey[]): Record<string, number> {
  const gaps: Record<string, number> = {}
  for (const { gap } of journeys.flatMap(({ steps }) => steps)) if (gap !== undefined) gaps[gap.reason] = (gaps[gap.reason] ?? 0) + 1
  return gaps
}

/** Goes through the steps of one client. */
class Trial {
  readonly problems: string[] = []
  readonly #journey: Journey
  readonly #truth: Truth
  readonly #published: Published
  readonly #evidence: Evidence
  /** By publisher, the last number since the last gap of any kind, and since the last loss of the history. */
  #run = new Map<number, number>()
  #epochRun = new Map<number, number>()
  #left = new Set<string>()
  #epochGaps = 0

  constructor (journey: Journey, truth: Truth, published: Published, evidence: Evidence) {
    this.#journey = journey
    this.#truth = truth
    this.#published = published
    this.#evidence = evidence
    let before: Step | undefined
    for (const step of journey.steps) {
      if (step.gap !== undefined) this.#gap(step, step.gap, before)
      else if (before !== undefined) this.#move(step, before)
      if (step.event !== undefined) this.#event(step, step.event)
      before = step
    }
    this.#end()
  }

  /** From one step to the next, both in one piece of the stream. */
  #move ({ id, event }: Step, { id: from }: Step): void {
    if (id.epoch !== from.epoch) return this.#accuse(id, `the epoch was ${from.epoch}, and no gap was told`)
    if (event === undefined ? id.seq < from.seq : id.seq <= from.seq) this.#accuse(id, `comes after ${from.seq}`)
    this.#owed(id.epoch, from.seq + 1, event === undefined ? id.seq : id.seq - 1)
  }

  #gap ({ at, id }: Step, gap: Gap, before: Step | undefined): void {
    const { reason, from, to, count } = gap
    this.#run.clear()
    if (reason === 'epoch') {
      this.#epochRun.clear()
      this.#epochGaps++
      if (before !== undefined && before.id.epoch !== id.epoch) this.#left.add(before.id.epoch)
      if (this.#left.has(id.epoch)) this.#accuse(id, 'an epoch that was over is back')
      const losses = this.#evidence.happenings.filter((happening) => happening.loses && happening.at < at).length
      if (this.#epochGaps > losses) this.#accuse(id, `gap ${this.#epochGaps} of reason epoch, after ${losses} losses`)
      return
    }
    const isOwn = this.#journey.mayGap.includes(reason)
    const isTrimmed = reason === 'trimmed' && this.#evidence.happenings.some(({ trims, at: begin, until }) => trims && at > begin && at < until + awayMs)
    if (!isOwn && !isTrimmed) this.#accuse(id, `a gap of reason ${reason}`)
    // One who did not read is told in one gap what was cut off and what it left out: how many is then not known.
    if (reason === 'trimmed' && !(isOwn && count === undefined)) this.#trimmed(at, id, gap)
    if (before === undefined) return
    if (id.epoch !== before.id.epoch || id.seq < before.id.seq) this.#accuse(id, `a gap after ${before.id.epoch}.${before.id.seq}`)
    const [first, last] = [numberOf(from), numberOf(to)]
    if (first !== undefined && first < before.id.seq) this.#accuse(id, `a gap from ${from}, after ${before.id.seq}`)
    // What lies before the gap and behind it is owed; what lies in it must be as many as it says.
    if (first !== undefined) this.#owed(id.epoch, before.id.seq + 1, first)
    if (last !== undefined) this.#owed(id.epoch, last + 1, id.seq)
    if (count === undefined || first === undefined || last === undefined) return
    const left = this.#fitting(id.epoch, first + 1, last).length
    if (count < left || count > last - first) this.#accuse(id, `a gap of ${count} events, in which there are ${left} to ${last - first}`)
  }

  /** Every number from one end to the other was cut off, and none that was still kept. */
  #trimmed (at: number, id: Position, { from, to, count }: Gap): void {
    const [first, last] = [numberOf(from), numberOf(to)]
    if (first === undefined || last === undefined || count !== last - first || count < 1) this.#accuse(id, `a trimmed gap of ${count} events from ${from} to ${to}`)
    else if ([from, to].some((end) => end?.split('.')[0] !== id.epoch) || last !== id.seq) this.#accuse(id, `a trimmed gap to ${to}`)
    else if (!this.#truth.reached(id.epoch, last + this.#evidence.history, at + lateMs)) this.#accuse(id, `a trimmed gap to ${to}, which was still kept`)
  }

  /** In the order of its publisher, with all between that were accepted. */
  #event ({ id }: Step, event: string): void {
    const { publisher, n, level, service } = this.#published.get(event) ?? {}
    if (publisher === undefined || n === undefined || level === undefined || service === undefined) return this.#accuse(id, `nobody published ${event}`)
    if (!fits(this.#journey.filter, { level, service })) this.#accuse(id, `${event} was published as ${level} of ${service}`)
    const last = this.#epochRun.get(publisher) ?? -1
    if (n <= last) this.#accuse(id, `${event} comes after ${publisher}-${last}`)
    this.#epochRun.set(publisher, n)
    const previous = this.#run.get(publisher)
    if (previous !== undefined) this.#accepted(id, publisher, previous + 1, n)
    this.#run.set(publisher, n)
  }

  /** At the end everything has been given: behind the last of each publisher there is nothing more. */
  #end (): void {
    const id = this.#journey.steps.at(-1)?.id
    if (id === undefined) {
      this.problems.push(`${this.#journey.name} was given nothing`)
      return
    }
    for (const [publisher, n] of this.#run) this.#accepted(id, publisher, n + 1, Infinity)
  }

  #accepted (id: Position, publisher: number, from: number, to: number): void {
    for (let n = from; n < to; n++) {
      const publication = this.#published.get(`${publisher}-${n}`)
      if (publication === undefined) return
      if (publication.state === 'accepted' && fits(this.#journey.filter, publication)) this.#accuse(id, `${publisher}-${n} was accepted, and never given`)
    }
  }

  #owed (epoch: string, from: number, to: number): void {
    for (const event of this.#fitting(epoch, from, to)) this.#accuse({ epoch, seq: from, nonce: '' }, `${event} was given to others`)
  }

  /** What was given to anybody and fits this client. */
  #fitting (epoch: string, from: number, to: number): string[] {
    const events: string[] = []
    for (let seq = from; seq <= to; seq++) {
      const found = this.#truth.eventsAt(epoch, seq)
      // Of two pasts it is not said which this client is owed; it is owed one where both fit.
      if (found.length > 0 && found.every((event) => fits(this.#journey.filter, this.#published.get(event)!))) events.push(found.join('/'))
    }
    return events
  }

  #accuse ({ epoch, seq }: Position, what: string): void {
    this.problems.push(`${this.#journey.name} at ${epoch}.${seq}: ${what}`)
  }
}

const numberOf = (id: string | undefined) => id === undefined ? undefined : Number(id.split('.')[1])
