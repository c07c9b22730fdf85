import { member } from './records.ts'
import type { Room } from './room.ts'

const mostLevels = 8
const mostItems = 128
const mostBytes = 4_096

/** What an AnyValue holds, as plain JSON; undefined for none. Integers that a number cannot hold stay text. */
export function plainOf (value: unknown, room: Room, levels = mostLevels): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  const { stringValue, boolValue, intValue, doubleValue, bytesValue, arrayValue, kvlistValue } = value as Record<string, unknown>
  if (typeof stringValue === 'string') return stringValue
  if (typeof boolValue === 'boolean') return boolValue
  if (isNumeric(intValue)) return Number.isSafeInteger(Number(intValue)) ? Number(intValue) : String(intValue).slice(0, 20)
  if (isNumeric(doubleValue)) return Number.isFinite(Number(doubleValue)) ? Number(doubleValue) : String(doubleValue).slice(0, 20)
  if (typeof bytesValue === 'string') return bytesValue
  const isArray = typeof arrayValue === 'object' && arrayValue !== null
  if (!isArray && (typeof kvlistValue !== 'object' || kvlistValue === null)) return undefined
  if (levels === 0) {
    room.truncated = true
    return undefined
  }
  if (isArray) return listIn(arrayValue, room).map((item) => plainOf(item, room, levels - 1))
  return Object.fromEntries(pairsOf(listIn(kvlistValue, room)).map(([key, item]) => [key, plainOf(item, room, levels - 1)]))
}

/** A list of KeyValue as an object that takes its place in the room. */
export function attributesOf (list: unknown, room: Room): Record<string, unknown> {
  const pairs = pairsOf(firstOf(list, room)).map(([key, value]) => room.member(key, plainOf(value, room), mostBytes))
  return Object.fromEntries(pairs.filter((pair) => pair !== undefined))
}

/** One attribute that is a text. */
export function attribute (list: unknown, name: string): string | undefined {
  const found = Array.isArray(list) ? list.find((pair) => member(pair, 'key') === name) as unknown : undefined
  const text = member(member(found, 'value'), 'stringValue')
  return typeof text === 'string' && text !== '' ? text : undefined
}

/** 64 bits are text in JSON, and so is what is no number. */
function isNumeric (value: unknown): value is string | number {
  return typeof value === 'number' || typeof value === 'string'
}

function listIn (value: unknown, room: Room): unknown[] {
  return firstOf(member(value, 'values'), room)
}

function firstOf (list: unknown, room: Room): unknown[] {
  if (!Array.isArray(list)) return []
  if (list.length > mostItems) room.truncated = true
  return list.slice(0, mostItems)
}

function pairsOf (list: unknown[]): [string, unknown][] {
  return list.flatMap((pair) => {
    const key = member(pair, 'key')
    return typeof key === 'string' ? [[key, member(pair, 'value')]] : []
  })
}
