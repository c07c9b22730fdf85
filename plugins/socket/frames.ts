import { Ajv, type ValidateFunction } from 'ajv'
import { ApiError, failureOf } from '../../errors.ts'
import type { SignalInput } from '../../schemas/rtc.ts'
import { chatBytes } from '../../schemas/chat.ts'
import { clientFrames, frameBytes, serverFrames, signalFrames, type ClientFrame, type ClientType, type ServerFrame } from '../../schemas/socket.ts'

/** Any frame that a client may send; `bytes` is its length. */
export type Frame = { bytes: number, traceparent?: string } & (
  ClientFrame<'chat'> | ClientFrame<'chat_cancel'> | ClientFrame<'ping'> | ClientFrame<'rtc_subscribe'> | ClientFrame<'rtc_unsubscribe'> | ClientFrame<'rtc_leave'> |
  { type: 'rtc_signal', id?: string, data: SignalInput })
export type FrameOf<T extends ClientType> = Extract<Frame, { type: T }>

/** What could not be read: why, and under which id and type where those can be told. */
export interface Refused { failure: ApiError, id: string | undefined, type: ClientType | 'unknown' }

const dateTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/
const ajv = new Ajv({ allErrors: false, strict: true, strictTypes: false, strictRequired: false })
ajv.addFormat('date-time', dateTime)

/** Compiled when first met: some of them take a millisecond. */
const compiled = new WeakMap<object, ValidateFunction>()
function validator (schema: object): ValidateFunction {
  let valid = compiled.get(schema)
  if (valid === undefined) compiled.set(schema, valid = ajv.compile(schema))
  return valid
}

/** Reads one message of a client, which may be anything. */
export function read (message: Buffer, isBinary: boolean): Frame | Refused {
  if (isBinary) return refused('this socket takes text frames alone: send JSON')
  let value: unknown
  try {
    value = JSON.parse(message.toString())
  } catch {
    return refused('the frame is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refused('the frame is no object: send {"type", "id", "data"}')
  const { type: named, id: given, data } = value as Record<string, unknown>
  const id = typeof given === 'string' && given.length > 0 && given.length <= 128 ? given : undefined
  const type = typeof named === 'string' && Object.hasOwn(clientFrames, named) ? named as ClientType : undefined
  const most = type === 'chat' ? chatBytes : frameBytes
  if (message.length > most) return { failure: new ApiError('payload_too_large', `a frame of type ${type ?? 'other than chat'} has at most ${most} bytes`, { details: { limit: most } }), id, type: type ?? 'unknown' }
  if (type === undefined) return { ...refused(named === undefined ? 'frame.type is required' : `there is no such type of frame: it must be one of ${Object.keys(clientFrames).join(', ')}`), id }
  const schema = type === 'rtc_signal' ? signalSchema(data) : clientFrames[type]
  if (schema === undefined) return { ...refused(`frame.data.type must be one of ${Object.keys(signalFrames).join(', ')}`), id, type }
  const valid = validator(schema)
  if (!valid(value)) return { failure: failureOf({ validation: valid.errors, validationContext: 'frame' }), id, type }
  return Object.assign(value as Frame, { bytes: message.length })
}

/** A frame as its text; throws where it is not as its contract says. */
export function write (frame: ServerFrame): string {
  const { type } = frame
  const valid = validator(serverFrames[type])
  if (!valid(frame)) throw new Error(`the frame ${type} is not as its contract says: ${ajv.errorsText(valid.errors, { dataVar: 'frame' })}`)
  return JSON.stringify(frame)
}

function signalSchema (data: unknown): object | undefined {
  const { type } = (data ?? {}) as { type?: unknown }
  return typeof type === 'string' && Object.hasOwn(signalFrames, type) ? signalFrames[type as keyof typeof signalFrames] : undefined
}

function refused (message: string): Refused {
  return { failure: new ApiError('bad_request', message), id: undefined, type: 'unknown' }
}
