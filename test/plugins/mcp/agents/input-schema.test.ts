import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { standalone } from '../../../../plugins/mcp/agents/input-schema.ts'

const anything = { type: 'object' }

test('a schema of an object stays what it is, references within it included', () => {
  const schema = {
    type: 'object',
    properties: { a: { type: 'number', minimum: 1 }, tree: { $ref: '#/$defs/node' }, mode: { enum: ['x', { $ref: 'data' }] } },
    required: ['a'],
    additionalProperties: false,
    $defs: { node: { type: 'object', properties: { children: { type: 'array', items: { $ref: '#/$defs/node' } } } } }
  }

  expect(standalone(schema)).toEqual(schema)
})

test.for([
  ['a remote reference', { $ref: 'https://evil.example/schema.json' }],
  ['a relative one', { $ref: 'other.json#/a' }],
  ['one to the parts of another', { $ref: '#node' }],
  ['one to nothing', { $ref: '#/$defs/nothing' }],
  ['one that cannot be read', { $ref: '#/%zz' }],
  ['a dynamic one', { $dynamicRef: 'https://evil.example/#x' }],
  ['an address', { $id: 'https://evil.example/schema.json' }]
] as const)('%s is left out, and what stands beside it stays', ([, pointer]) => {
  expect(standalone({ type: 'object', properties: { a: { ...pointer, description: 'kept' } } })).toEqual({ type: 'object', properties: { a: { description: 'kept' } } })
})

test('an argument may be called like a word of the language', () => {
  const schema = { type: 'object', properties: { $ref: { type: 'string' }, id: { type: 'string' }, pattern: { type: 'string' }, properties: { type: 'object' } } }

  expect(standalone(schema)).toEqual(schema)
})

test.for([
  undefined, null, 5, 'object', [], { type: 'array' }, { type: 'objekt' }, { properties: 5 }, { type: 'object', required: 'a' }, { type: 'object', properties: { a: { type: 'text' } } },
  { type: 'object', properties: { a: 5 } }, { type: 'object', description: 'x'.repeat(40_000) }, nested(40)
])('of %j nothing is left but that it is an object', (schema) => {
  expect(standalone(schema)).toEqual(anything)
})

test('what some hosts refuse a list for is left out or said in another way', () => {
  const schema = standalone({ type: ['object', 'null'], $schema: 'http://json-schema.org/draft-07/schema#', oneOf: [{ required: ['a'] }], properties: { a: true, b: false, c: { pattern: '(' }, d: { oneOf: [{ type: 'string' }, { type: 'null' }] } } })

  expect(schema).toEqual({ type: 'object', properties: { a: {}, b: { not: {} }, c: {}, d: { oneOf: [{ type: 'string' }, { type: 'null' }] } } })
})

test('a schema of draft 7 is taken, too', () => {
  const schema = { type: 'object', properties: { pair: { type: 'array', items: [{ type: 'number' }, { type: 'number' }] } }, definitions: { x: { type: 'string' } } }

  expect(standalone(schema)).toEqual(schema)
})

test('a member called __proto__ goes, and pollutes nothing', () => {
  const schema = standalone(JSON.parse('{"type":"object","__proto__":{"polluted":1},"properties":{"__proto__":{"type":"string"},"a":{}}}'))

  expect(JSON.stringify(schema)).toBe('{"type":"object","properties":{"a":{}}}')
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})

test('what comes out can be compiled alone', () => {
  const schema = standalone({ type: 'object', properties: { a: { $ref: 'https://evil.example/a' }, b: { $ref: '#/properties/c' }, c: { type: 'string' } } })

  expect(new Ajv2020({ strict: false }).compile(schema)({ b: 'x' })).toBe(true)
})

function nested (depth: number): object {
  return depth === 0 ? {} : { type: 'object', properties: { a: nested(depth - 1) } }
}
