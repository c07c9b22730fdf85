import { MissingRequiredClientCapabilityError, ProtocolError, ProtocolErrorCode, type Result, type Server, type ServerContext, type StandardSchemaV1 } from '@modelcontextprotocol/server'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { failed } from '../agents/results.ts'
import { isOver, type Records, type Task } from './records.ts'
import { clientOf, declares, detailsOf, dialectOf, needed, related, stateOf, type Dialect } from './wire.ts'
import { fail, pollMs } from './work.ts'

type Handle = (id: string, context: ServerContext, dialect: Dialect) => Promise<Result>

const gone = { code: -32_603, message: 'the instance that worked on this is gone: whether it was done is not known; look before you call again' }
const lost = failed('the answer of this task is kept no more: there was no room for it')

/** Adds what both revisions ask of tasks to the server of one exchange; each knows only its own. */
export function installMethods (server: Server, request: FastifyRequest, { cluster }: Pick<FastifyInstance, 'cluster'>, records: Records): void {
  const on = (method: string, dialects: Dialect[], handle: Handle) => {
    server.setRequestHandler(method, { params: named }, async ({ taskId }, context) => await handle(taskId, context, check(method, dialects, context)))
  }
  const check = (method: string, dialects: Dialect[], context: ServerContext) => {
    const dialect = dialectOf(context, server, request)
    if (dialect === undefined || !dialects.includes(dialect)) throw new ProtocolError(ProtocolErrorCode.MethodNotFound, `there is no ${method} in this revision`)
    if (dialect === 'extension' && !declares(clientOf(context))) throw new MissingRequiredClientCapabilityError({ requiredCapabilities: needed })
    return dialect
  }

  on('tasks/get', ['core', 'extension'], async (id, _, dialect) => {
    const task = await find(id)
    return dialect === 'core' ? stateOf(task, 'core') : detailsOf(task, await resultOf(task))
  })
  on('tasks/cancel', ['core', 'extension'], async (id, _, dialect) => {
    await find(id)
    const changed = await records.change(id, (task) => { Object.assign(task, { status: 'cancelled', statusMessage: 'cancelled by its caller', asked: undefined }) })
    if (changed === undefined) throw noTask(id)
    if (dialect === 'extension') return {}
    if (!changed.isChanged) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `the task is ${changed.task.status} already`)
    return stateOf(changed.task, 'core')
  })
  on('tasks/result', ['core'], async (id, context) => {
    const task = await whenOver(id, context)
    if (task.status === 'completed') return related(await resultOf(task) ?? lost, id)
    const { code, message, data } = task.error ?? { code: -32_000, message: `the task was ${task.statusMessage ?? task.status}` }
    throw new ProtocolError(code, message, data)
  })
  on('tasks/update', ['extension'], async (id, { mcpReq: { inputResponses = {} } }) => {
    await find(id)
    await records.change(id, (task) => {
      for (const [key, answer] of Object.entries(inputResponses)) {
        if (task.asked === undefined || !Object.hasOwn(task.asked, key)) continue
        const { [key]: _, ...left } = task.asked
        Object.assign(task, { asked: left, answers: { ...task.answers, [key]: answer } })
      }
      if (task.status === 'input_required' && Object.keys(task.asked ?? {}).length === 0) Object.assign(task, { status: 'working', asked: undefined })
    })
    return {}
  })
  server.setRequestHandler('tasks/list', { params: paged }, async ({ cursor }, context) => {
    check('tasks/list', ['core'], context)
    const page = await records.list(request, cursor)
    if (page === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'the cursor is none of this list: begin without one')
    const tasks = await Promise.all(page.tasks.map(async (task) => stateOf(await alive(task), 'core')))
    return { tasks, ...(page.next !== undefined && { nextCursor: page.next }) }
  })

  async function find (id: string): Promise<Task> {
    const task = await records.find(id, request)
    if (task === undefined) throw noTask(id)
    return await alive(task)
  }

  /** What an instance works on that is there no more has failed. */
  async function alive (task: Task): Promise<Task> {
    if (isOver(task) || task.by === cluster.id || (await cluster.members()).includes(task.by)) return task
    return (await records.change(task.id, fail(gone)))?.task ?? task
  }

  async function resultOf (task: Task): Promise<Result | undefined> {
    return task.status === 'completed' ? await records.result(task.id) ?? lost : undefined
  }

  /** Waits for the end of a task, at whatever instance it comes. */
  async function whenOver (id: string, { mcpReq: { signal } }: ServerContext): Promise<Task> {
    let wake = () => {}
    let isNews = true
    const look = () => {
      isNews = true
      wake()
    }
    const letGo = records.follow(id, look, pollMs)
    signal.addEventListener('abort', look)
    request.departure.addEventListener('abort', look)
    try {
      while (!signal.aborted && !request.departure.aborted) {
        isNews = false
        const task = await find(id)
        if (isOver(task)) return task
        if (!isNews) await new Promise<void>((resolve) => { wake = resolve })
      }
      throw new ProtocolError(-32_000, 'cancelled: nobody waits for the task')
    } finally {
      letGo()
      signal.removeEventListener('abort', look)
      request.departure.removeEventListener('abort', look)
    }
  }
}

/** The same words whether there never was one, its time is over, or it is another's. */
function noTask (id: string): ProtocolError {
  return new ProtocolError(ProtocolErrorCode.InvalidParams, `no task ${id.slice(0, 128)}: it may have expired`)
}

const named = paramsOf<{ taskId: string }>('taskId', true)
const paged = paramsOf<{ cursor?: string }>('cursor', false)

/** Parameters of which one matters, which is a string. */
function paramsOf<T> (name: string, isNeeded: boolean): StandardSchemaV1<T> {
  const fits = (value: unknown) => value === undefined ? !isNeeded : typeof value === 'string' && value.length <= 256
  return { '~standard': { version: 1, vendor: 'muxi', validate: (value) => fits((value as Record<string, unknown>)[name]) ? { value: value as T } : { issues: [{ message: `${name} must be string` }] } } }
}
