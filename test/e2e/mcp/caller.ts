import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection, Maker, Result } from './connection.ts'

/** One thing that was asked: `answered` as it should be, `failed` in saying that the connection or the instance is gone, or `wrong`. */
export interface Asked { at: number, ms: number, what: string, came: 'answered' | 'failed' | 'wrong', detail: string, reconnected: boolean }

/** One of each kind: a list, a result, an error result, an error of the protocol, and a chat that takes a while. */
const questions: Record<string, (connection: Connection, looksFirst: boolean) => Promise<boolean>> = {
  list: async ({ tools }) => (await tools()).some(({ name }) => name === 'agent_list'),
  result: async ({ call }) => isOk(await call('agent_list', {}), 'greeter'),
  'error result': async ({ call }) => {
    const { isError, content } = await call('agent_get', { agent_id: 'nobody' })
    return isError === true && content[0]!.text!.includes('no agent nobody')
  },
  'protocol error': async ({ call }, looksFirst) => {
    try {
      await call('no_such_tool', {})
      return false
    } catch (error) {
      if ((error as { code?: unknown }).code === (looksFirst ? 'tool_not_found' : -32_602)) return true
      throw error
    }
  },
  chat: async ({ call }) => isOk(await call('chat_send', { content: 'Count [fake: tokens=6 delay_ms=50]', user_id: 'u1' }), 'w1 w2 w3 w4 w5 w6')
}

const isOk = ({ isError, content }: Result, text: string) => isError !== true && content[0]!.text!.includes(text)

/** What a client says of its own accord when it has waited for too long. */
const timeout = /tim(?:ed|e) ?out|deadline exceeded/i

/** A client of one kind that asks without an end, and connects again when its connection serves no more. */
export class Caller {
  readonly name: string
  readonly hidesRefusals: boolean
  readonly asked: Asked[] = []
  readonly #maker: Maker
  readonly #url: string
  readonly #key: string
  #connection: Connection | undefined

  constructor (maker: Maker, url: string, key: string) {
    this.name = maker.name
    this.hidesRefusals = maker.hidesRefusals === true
    this.#maker = maker
    this.#url = url
    this.#key = key
  }

  async connect (): Promise<void> {
    this.#connection = await this.#maker.connect(this.#url, this.#key)
  }

  async close (): Promise<void> {
    await this.#connection?.close().catch(() => {})
    this.#connection = undefined
  }

  /** Asks until it is told to stop. After two failures on end the connection is given up. */
  async run (signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      for (const [what, question] of Object.entries(questions)) {
        if (signal.aborted) break
        const reconnected = failures >= 2 || this.#connection === undefined
        const { came } = await this.#ask(what, question, reconnected)
        failures = came === 'answered' ? 0 : failures + 1
        await sleep(came === 'answered' ? 20 : 100)
      }
    }
    // Whatever came last, the next thing works, with a new connection at the latest.
    for (const reconnected of failures === 0 ? [] : [failures >= 2, true]) {
      if ((await this.#ask('result', questions.result!, reconnected)).came === 'answered') return
    }
  }

  async #ask (what: string, question: (typeof questions)[string], reconnected: boolean): Promise<Asked> {
    const at = performance.now()
    const one = { at, ms: 0, what, came: 'answered' as Asked['came'], detail: '', reconnected }
    try {
      if (reconnected) {
        await this.close()
        await this.connect()
      }
      if (!await question(this.#connection!, this.#maker.looksFirst === true)) one.came = 'wrong'
    } catch (error) {
      one.detail = String((error as Error).message)
      one.came = timeout.test(one.detail) ? 'wrong' : 'failed'
    }
    one.ms = performance.now() - at
    this.asked.push(one)
    return one
  }
}
