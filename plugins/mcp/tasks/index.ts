import { MissingRequiredClientCapabilityError, ProtocolError, ProtocolErrorCode, type CallToolResult, type InputRequiredResult, type RequestStateCodec, type Server, type ServerContext } from '@modelcontextprotocol/server'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError } from '../../../errors.ts'
import type { Feature } from '../feature.ts'
import { Journal, standing } from '../sessions/journal.ts'
import type { Tool } from '../tools.ts'
import { installMethods } from './methods.ts'
import { Records, type Task } from './records.ts'
import { Run, type Call } from './run.ts'
import { capabilities, clientOf, declares, dialectOf, handleOf, needed, stateOf, type TaskSupport } from './wire.ts'
import { Work } from './work.ts'

type CallResult = CallToolResult | InputRequiredResult

/** What a call of a tool says of tasks, beside its arguments. */
export interface Wish { server: Server, request: FastifyRequest, context: ServerContext, task: { ttl?: number | undefined } | undefined }

export interface Tasks {
  /** Whether a tool may run as a task. */
  supportOf: (name: string) => TaskSupport
  /** Calls a tool, as a task where its caller asks for one, or takes one and the answer does not come at once. */
  call: (name: string, wish: Wish, call: Call) => Promise<CallResult | undefined>
  /** Resolves when none runs at this instance. */
  idle: () => Promise<void>
  /** Ends those that run at this instance. */
  close: () => Promise<void>
  feature: Feature
}

interface Parts { app: FastifyInstance, tools: ReadonlyMap<string, Tool>, features: readonly Feature[], requestState: Pick<RequestStateCodec, 'verify'> }

/** Who takes tasks waits that long for the answer itself. */
export const promptMs = 500
const usualMs = 300_000
const leastMs = 1_000
/** Nobody can ask the extension for a time. */
export const mostMs = 3_600_000

/** Long work: calls that go on without their request, and whose answers are fetched later, at whatever instance. */
export function createTasks ({ app, tools, features, requestState }: Parts): Tasks {
  const records = new Records(app, { onStatus: tell })
  const work = new Work(records)

  function supportOf (name: string): TaskSupport {
    if (tools.get(name)?.operation.capability === 'chat') return 'optional'
    for (const feature of features) {
      const support = feature.tools?.tasks?.(name)
      if (support !== undefined) return support
    }
    return undefined
  }

  async function call (name: string, { server, request, context, task: asked }: Wish, toolCall: Call): Promise<CallResult | undefined> {
    const dialect = dialectOf(context, server, request)
    const support = supportOf(name)
    if (dialect === 'core' && asked !== undefined) {
      if (support === undefined) throw new ProtocolError(ProtocolErrorCode.MethodNotFound, `there is no tool ${name.slice(0, 128)} that runs as a task: call it without`)
      return await begin(name, request, context, toolCall, ttlOf(asked))
    }
    if (dialect === 'core' && support === 'required') throw new ProtocolError(ProtocolErrorCode.MethodNotFound, `the tool ${name} runs as a task alone: call it with one`)
    if (dialect !== 'extension' || support === undefined) return await toolCall(request, context)
    if (declares(clientOf(context))) return await offer(name, request, context, toolCall)
    if (support === 'required') throw new MissingRequiredClientCapabilityError({ requiredCapabilities: needed })
    return await toolCall(request, context)
  }

  /** As revision 2025-11-25 has it: the caller asks, and is given a task at once. */
  async function begin (name: string, request: FastifyRequest, context: ServerContext, toolCall: Call, ttlMs: number): Promise<CallResult> {
    const task = await records.open(request, { ttlMs, session: context.sessionId }).catch((error: unknown) => {
      throw error instanceof ApiError ? new ProtocolError(-32_000, error.message, { code: error.code }) : error
    })
    const run = new Run(request, context, toolCall, requestState.verify)
    work.begin({ task, run, outcome: run.start(), request, can: {}, tellsPieces: tools.has(name) })
    return handleOf(task, 'core')
  }

  /** As the extension has it: the server decides. What is answered at once is no task, nor is what asks its client something at once. */
  async function offer (name: string, request: FastifyRequest, context: ServerContext, toolCall: Call): Promise<CallResult | undefined> {
    const run = new Run(request, context, toolCall, requestState.verify)
    const outcome = run.start()
    const isPrompt = await Promise.race([outcome.then(() => true, () => true), sleep(promptMs, false, { ref: false })])
    const task = isPrompt ? undefined : await records.open(request, { ttlMs: mostMs, session: undefined }).catch(() => undefined)
    // Who has too many waits for this one.
    if (task === undefined) return await outcome.finally(() => { run.letGo() })
    work.begin({ task, run, outcome, request, can: clientOf(context), tellsPieces: tools.has(name) })
    return handleOf(task, 'extension')
  }

  /** The session that a task was made in hears of it on its standing stream. */
  function tell (task: Task): void {
    if (task.session === undefined) return
    const message = { jsonrpc: '2.0' as const, method: 'notifications/tasks/status', params: stateOf(task, 'core') }
    new Journal(app, task.session).append([{ to: standing, message }]).catch((error: unknown) => { app.log.warn({ err: error }, 'the status of a task could not be told in its MCP session') })
  }

  return {
    supportOf,
    call,
    idle: async () => { await work.idle() },
    close: async () => { await work.close() },
    feature: { capabilities, install: (server, request) => { installMethods(server, request, app, records) } }
  }
}

function ttlOf ({ ttl = usualMs }: { ttl?: number | undefined }): number {
  return Number.isFinite(ttl) ? Math.round(Math.min(mostMs, Math.max(leastMs, ttl))) : usualMs
}
