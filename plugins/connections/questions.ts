import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'

type Shared = Pick<FastifyInstance, 'cluster' | 'seal'>

/** What came of a question: the answers, and who gave none in time. */
export interface Answers<A> { answers: A[], silent: string[] }

/** Questions to all other instances. */
export interface Questions<Q, A> {
  /** Waits for the answers of all, for one that is enough, or for half a second. Throws where the others cannot be reached. */
  ask: (question: Q, isEnough?: (answer: A) => boolean) => Promise<Answers<A>>
  close: () => void
}

interface Asked<Q> { by: string, question: Q }

const patienceMs = 500
const lookMs = 25
/** Wakes may be lost. */
const pollMs = 1_000
const answerMs = 10_000
const kept = { most: 1_000, ttlMs: 10_000 }
const most = 100

/** Asks on a topic of the cluster, and answers there what the others ask. Answers lie under a key of the question and the instance; all texts are sealed. */
export function createQuestions<Q, A> ({ cluster, seal }: Shared, topic: string, answerTo: (question: Q) => A): Questions<Q, A> {
  const placeOf = (nonce: string, instance: string) => `${topic}:${nonce}:${instance}`
  let seen: { epoch: string, seq: number } | undefined
  let running = false
  let again = false

  const answer = async (nonce: string, text: string) => {
    const opened = seal.open(text, topic)
    if (opened === undefined) return
    const { by, question } = JSON.parse(opened) as Asked<Q>
    const place = placeOf(nonce, cluster.id)
    if (by !== cluster.id) await cluster.set(place, seal.close(JSON.stringify(answerTo(question)), place), answerMs)
  }
  const read = async (): Promise<void> => {
    let found = await cluster.look(topic, { from: seen === undefined ? -most : seen.seq + 1, most })
    // Another past: what is kept of it is seconds old, and to answer twice does no harm.
    if (seen !== undefined && found.epoch !== seen.epoch) found = await cluster.look(topic, { from: -most, most })
    seen = { epoch: found.epoch, seq: found.entries.at(-1)?.seq ?? found.seq }
    again ||= seen.seq < found.seq
    // Who cannot be answered now takes us for silent.
    await Promise.allSettled(found.entries.map(async ({ item: { nonce, text } }) => { await answer(nonce, text) }))
  }
  const follow = async () => {
    if (running) {
      again = true
      return
    }
    running = true
    try {
      do {
        again = false
        await read()
      } while (again)
    } finally {
      running = false
    }
  }
  const wake = () => { follow().catch(() => {}) }

  const letGo = cluster.onAppend(topic, wake)
  const poll = setInterval(wake, pollMs)
  poll.unref()
  wake()

  return {
    ask: async (question, isEnough = () => false) => {
      const waiting = new Set(await cluster.members())
      waiting.delete(cluster.id)
      const answers: A[] = []
      if (waiting.size === 0) return { answers, silent: [] }
      const nonce = randomBytes(6).toString('base64url')
      const text = seal.close(JSON.stringify({ by: cluster.id, question } satisfies Asked<Q>), topic)
      await cluster.append(topic, { id: nonce, items: [{ nonce, text }] }, kept)
      const collect = async (instance: string) => {
        const place = placeOf(nonce, instance)
        const opened = seal.open(await cluster.get(place) ?? '', place)
        if (opened === undefined || opened === '') return
        waiting.delete(instance)
        answers.push(JSON.parse(opened) as A)
      }
      for (const until = performance.now() + patienceMs; performance.now() < until;) {
        await Promise.all([...waiting].map(collect))
        if (waiting.size === 0 || answers.some(isEnough)) break
        await sleep(lookMs)
      }
      return { answers, silent: [...waiting].sort() }
    },
    close: () => {
      clearInterval(poll)
      letGo()
    }
  }
}
