import { setTimeout as sleep } from 'node:timers/promises'
import autocannon from 'autocannon'

/** One answer, as its caller got it. */
export interface Got { status: number, headers: Record<string, string>, body: string, at: number }

interface Call { path: string, key: string }

/** Sends so many calls at a steady rate with autocannon, and keeps every answer. */
export async function load (url: string, { path, key, amount, rate }: Call & { amount: number, rate: number }): Promise<Got[]> {
  const answers: Got[] = []
  const result = await autocannon({
    url,
    amount,
    overallRate: rate,
    connections: 10,
    requests: [{
      path,
      headers: { authorization: `Bearer ${key}` },
      onResponse: (status, body, _, headers = {}) => {
        const named = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)] as const)
        answers.push({ status, headers: Object.fromEntries(named), body, at: Date.now() })
      }
    }]
  })
  if (result.errors + result.timeouts > 0) throw new Error(`${result.errors} calls failed, ${result.timeouts} took too long`)
  return answers
}

/** Makes a call every so often at each of the URLs in turn, one after another, until `end` is there. */
export async function trickle (urls: string[], { path, key, everyMs }: Call & { everyMs: number }, end: Promise<unknown>): Promise<Got[]> {
  const answers: Got[] = []
  const over = new AbortController()
  const stop = () => { over.abort() }
  end.then(stop, stop)
  while (!over.signal.aborted) {
    const res = await fetch(urls[answers.length % urls.length] + path, { headers: { authorization: `Bearer ${key}` } })
    answers.push({ status: res.status, headers: Object.fromEntries(res.headers), body: await res.text(), at: Date.now() })
    await sleep(everyMs)
  }
  return answers
}

/** The answers of each window of a limit, by the end that they tell. */
export function windowsOf (answers: Got[]): Got[][] {
  const windows: Got[][] = []
  let end = -Infinity
  for (const answer of answers.toSorted((a, b) => resetOf(a) - resetOf(b))) {
    // Whole seconds, and the clocks of several processes: one end is told as two numbers that lie side by side.
    if (resetOf(answer) > end + 30) windows.push([])
    end = resetOf(answer)
    windows.at(-1)!.push(answer)
  }
  return windows.map((window) => window.sort((a, b) => a.at - b.at))
}

const resetOf = ({ headers }: Got): number => Number(headers['x-ratelimit-reset'])
