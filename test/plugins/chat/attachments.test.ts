import { expect, test } from 'vitest'
import type { ApiError } from '../../../errors.ts'
import { filesOf } from '../../../plugins/chat/attachments.ts'
import { mediaTypes, type Attachment } from '../../../schemas/chat.ts'

const mebibyte = 1_048_576
const beginnings: Record<Attachment['type'], number[] | string> = {
  'image/jpeg': [0xff, 0xd8, 0xff, 0xe0],
  'image/png': '\x89PNG\r\n\x1a\n',
  'image/gif': 'GIF89a',
  'image/webp': 'RIFF\0\0\0\0WEBPVP8 ',
  'audio/mpeg': 'ID3\x03',
  'audio/wav': 'RIFF\0\0\0\0WAVEfmt ',
  'audio/ogg': 'OggS',
  'application/pdf': '%PDF-1.7',
  'application/msword': [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1],
  'application/vnd.ms-excel': [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1],
  'application/vnd.ms-powerpoint': [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1],
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'PK\x03\x04',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'PK\x03\x04',
  'application/vnd.openxmlformats-officedocument.presentationml.presentation': 'PK\x03\x04'
}

/** A file of a type that begins as it should, of that many bytes. */
function file (type: Attachment['type'], size = 64, name = 'a file'): Attachment {
  const start = beginnings[type]
  const bytes = Buffer.alloc(size, 'x')
  bytes.set(typeof start === 'string' ? Buffer.from(start, 'latin1') : start)
  return { type, name, data: bytes.toString('base64') }
}

function refusal (attachments: Attachment[]): Pick<ApiError, 'code' | 'message' | 'details'> {
  try {
    filesOf(attachments)
  } catch (error) {
    return error as ApiError
  }
  throw new Error('it was not refused')
}

test.for(mediaTypes)('%s is known by its first bytes', (type) => {
  expect(filesOf([file(type, 64, 'name')])).toEqual([{ filename: 'name', content_type: type, content: file(type).data, size: 64 }])
})

test.for(mediaTypes)('%s is not taken for another', (type) => {
  const alike = mediaTypes.filter((other) => beginnings[other].toString() === beginnings[type].toString())
  for (const other of mediaTypes.filter((other) => !alike.includes(other))) {
    expect(refusal([{ ...file(type), type: other }])).toMatchObject({ code: 'unsupported_media_type', details: { field: 'body.attachments.0.data' } })
  }
})

test('the size is that of the bytes, whatever the padding', () => {
  expect([60, 61, 62].map((size) => filesOf([file('image/png', size)])[0]?.size)).toEqual([60, 61, 62])
})

test.for(['====', 'AAA', 'AAAAA', 'A===', 'AA=A', 'AAAA====', 'iVBORw0K\n', 'iVBO Rw0K', 'iVBORw0-', '%%%%', 'data:image/png;base64,iVBORw0K'])('%j is not base64', (data) => {
  expect(refusal([file('image/png'), { type: 'image/png', name: 'a', data }])).toMatchObject({ code: 'bad_request', details: { field: 'body.attachments.1.data' } })
})

test('a file may have 10 MiB, and no byte more', () => {
  const began = performance.now()
  expect(filesOf([file('application/pdf', 10 * mebibyte)])[0]?.size).toBe(10 * mebibyte)
  expect(performance.now() - began).toBeLessThan(1_500)
  expect(refusal([file('application/pdf', 10 * mebibyte + 1)])).toMatchObject({ code: 'payload_too_large', details: { field: 'body.attachments.0.data' } })
})

test('bad bytes at the end of a large file are found', () => {
  const { data, ...rest } = file('application/pdf', 10 * mebibyte)

  expect(refusal([{ ...rest, data: `${data.slice(0, -5)}*AA==` }]).code).toBe('bad_request')
})

test('all files of a message may have 11 MiB together', () => {
  expect(filesOf([file('image/png', 6 * mebibyte), file('image/png', 5 * mebibyte)])).toHaveLength(2)
  expect(refusal([file('image/png', 6 * mebibyte), file('image/png', 5 * mebibyte), file('image/gif')])).toMatchObject({ code: 'payload_too_large', details: { field: 'body.attachments.2.data' } })
})
