import { describe, expect, test } from 'vitest'
import type { Gap, Step } from './clients.ts'
import { judge, type Evidence, type Journey } from './judge.ts'

type Publications = Evidence['publications']

const published = (...ns: number[]): Publications => ns.map((n) => ({ publisher: 0, n, level: n % 2 === 0 ? 'info' : 'error', service: 'shop', state: 'accepted' }))
const one = (n: number, seq = n, epoch = 'a'): Step => ({ at: seq, id: { epoch, seq, nonce: `${n}` }, event: `0-${n}` })
const mark = (seq: number, epoch = 'a'): Step => ({ at: seq, id: { epoch, seq, nonce: '-' } })
const gap = (seq: number, gap: Gap, epoch = 'a'): Step => ({ at: seq, id: { epoch, seq, nonce: '-' }, gap })
const journey = (name: string, steps: Step[], more: Partial<Journey> = {}): Journey => ({ name, filter: {}, mayGap: [], problems: [], steps, ...more })
const whole = journey('whole', [one(1), one(2), one(3), one(4)])
const verdict = (journeys: Journey[], { publications = published(1, 2, 3, 4), happenings = [], history = 1 }: Partial<Evidence> = {}) => judge({ journeys, publications, happenings, history })
const lossAt = (at: number) => ({ at, until: at, loses: true, trims: false })
const trimming = { at: 0, until: 5, loses: false, trims: true }

describe('the judge', () => {
  test('has nothing against clients that were given what fits them', () => {
    expect(verdict([whole, journey('errors', [mark(0), one(1), one(3), mark(4)], { filter: { level: 'error' } }), journey('late', [one(3), one(4)])])).toEqual([])
  })

  test.for<[string, Journey, string]>([
    ['an event that others were given', journey('b', [one(1), one(3), one(4)]), '0-2 was given to others'],
    ['an event that an id passes over', journey('b', [one(1), mark(2), one(3), one(4)]), '0-2 was given to others'],
    ['an event given twice', journey('b', [one(1), one(2), one(2), one(3), one(4)]), 'comes after 2'],
    ['an event given late', journey('b', [one(1), one(3), one(2), one(4)]), 'comes after 3'],
    ['a gap that nothing explains', journey('b', [one(1), gap(2, { reason: 'trimmed' }), one(3), one(4)]), 'a gap of reason trimmed'],
    ['a loss that nobody has seen', journey('b', [one(1), gap(2, { reason: 'epoch' }, 'b'), one(3, 3, 'b'), one(4, 4, 'b')]), 'gap 1 of reason epoch, after 0 losses'],
    ['another epoch in silence', journey('b', [one(1), one(2), one(3, 1, 'b'), one(4, 2, 'b')]), 'the epoch was a, and no gap was told'],
    ['an end before the end', journey('b', [one(1), one(2), mark(2)]), '0-3 was accepted, and never given'],
    ['an event that does not fit', journey('b', [one(1), one(2), one(3), mark(4)], { filter: { level: 'error' } }), '0-2 was published as info of shop']
  ])('finds %s', ([, accused, what]) => {
    expect(verdict([whole, accused]).join('\n')).toContain(what)
  })

  test('finds an accepted event that nobody was given, but none whose answer was lost', () => {
    const without = [journey('a', [one(1), one(2), one(4)]), journey('b', [one(1), one(2), one(4)])]
    const publications = published(1, 2, 3, 4)
    const doubtful = publications.map((publication) => publication.n === 3 ? { ...publication, state: 'in doubt' as const } : publication)

    expect(verdict(without)).toHaveLength(2)
    expect(verdict(without, { publications: doubtful })).toEqual([])
  })

  test('lets one gap pass for each loss of the history, and what lies in it', () => {
    const lost = journey('b', [one(1), gap(0, { reason: 'epoch' }, 'b'), one(4, 1, 'b')].map((step, at) => ({ ...step, at })))

    expect(verdict([lost], { happenings: [lossAt(0)] })).toEqual([])
    expect(verdict([lost], { happenings: [lossAt(2)] })).not.toEqual([])
  })

  test('lets a gap pass where the history was cut off, and says exactly what', () => {
    const cut = journey('b', [one(1), gap(3, { reason: 'trimmed', from: 'a.1.1', to: 'a.3.-', count: 2 }), one(4)])
    const errors = journey('c', [mark(0), gap(3, { reason: 'trimmed', from: 'a.0.-', to: 'a.3.-', count: 3 }), mark(4)], { filter: { level: 'error' } })

    expect(verdict([whole, cut, errors], { happenings: [trimming] })).toEqual([])
  })

  test.for<[string, Gap, Partial<Evidence>, string]>([
    ['when nothing had cut the history off', { count: 2 }, { happenings: [lossAt(0)] }, 'a gap of reason trimmed'],
    ['before the history was cut off', { count: 2 }, { happenings: [{ ...trimming, at: 4 }] }, 'a gap of reason trimmed'],
    ['long after that', { count: 2 }, { happenings: [{ ...trimming, until: -5_000 }] }, 'a gap of reason trimmed'],
    ['with fewer events than it has numbers', { count: 1 }, {}, 'a trimmed gap of 1 events'],
    ['with more', { count: 3 }, {}, 'a trimmed gap of 3 events'],
    ['without a count', {}, {}, 'a trimmed gap of undefined events'],
    ['that begins too late', { from: 'a.2.2', count: 1 }, {}, '0-2 was given to others'],
    ['that begins before what was given', { from: 'a.0.-', count: 3 }, {}, 'a gap from a.0.-, after 1'],
    ['that ends too early', { to: 'a.2.-', count: 1 }, {}, 'a trimmed gap to a.2.-'],
    ['of another epoch', { from: 'b.1.1', to: 'b.3.-', count: 2 }, {}, 'a trimmed gap to b.3.-'],
    ['of what was still kept', { count: 2 }, { history: 2 }, 'which was still kept']
  ].map(([name, gap, evidence, what]) => [name, { reason: 'trimmed', from: 'a.1.1', to: 'a.3.-', ...gap as object }, { happenings: [trimming], ...evidence as object }, what] as [string, Gap, Partial<Evidence>, string]))('finds a gap of reason trimmed %s', ([, told, evidence, what]) => {
    const cut = journey('b', [one(1), gap(3, told), one(4)])

    expect(verdict([whole, cut], evidence).join('\n')).toContain(what)
  })

  test('holds a gap of who did not read to its ends and its count', () => {
    const sleeper = (count: number, from: string, to: string) => journey('b', [one(1), gap(3, { reason: 'slow', from, to, count }), one(4)], { mayGap: ['slow'] })

    expect(verdict([whole, sleeper(2, 'a.1.1', 'a.3.3')])).toEqual([])
    expect(verdict([whole, sleeper(1, 'a.1.1', 'a.3.3')])).not.toEqual([])
    expect(verdict([whole, sleeper(1, 'a.2.2', 'a.3.3')])).not.toEqual([])
  })
})
