import { ApiError } from '../../errors.ts'
import type { Attachment } from '../../schemas/chat.ts'

/** A file as the Core takes it. */
export interface CoreFile { filename: string, content_type: string, content: string, size: number }

const perFile = 10 * 1_048_576
const together = 11 * 1_048_576
const zip = ['504b0304', '504b0506']
const office = 'd0cf11e0a1b11ae1'

/** The first bytes that a type must have, in hex; any one of the list. A dot stands for any digit. */
const beginnings: Record<Attachment['type'], string[]> = {
  'image/jpeg': ['ffd8ff'],
  'image/png': ['89504e470d0a1a0a'],
  'image/gif': ['474946383761', '474946383961'],
  'image/webp': ['52494646........57454250'],
  'audio/mpeg': ['494433', 'fffb', 'fff3', 'fff2', 'fffa'],
  'audio/wav': ['52494646........57415645'],
  'audio/ogg': ['4f676753'],
  'application/pdf': ['255044462d'],
  'application/msword': [office],
  'application/vnd.ms-excel': [office],
  'application/vnd.ms-powerpoint': [office],
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': zip,
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': zip,
  'application/vnd.openxmlformats-officedocument.presentationml.presentation': zip
}

/** Checks encoding, size and first bytes of each attachment and gives them the Core's form. */
export function filesOf (attachments: Attachment[]): CoreFile[] {
  let total = 0
  return attachments.map(({ type, name, data }, index) => {
    const field = `body.attachments.${index}.data`
    if (!isBase64(data)) throw new ApiError('bad_request', `${field} is not base64`, { details: { field } })
    const size = data.length / 4 * 3 - (data.endsWith('==') ? 2 : data.endsWith('=') ? 1 : 0)
    total += size
    if (size > perFile || total > together) throw new ApiError('payload_too_large', `${field}: a file may have 10 MiB, those of one message 11 MiB together`, { details: { field } })
    const head = Buffer.from(data.slice(0, 32), 'base64').toString('hex')
    if (!beginnings[type].some((beginning) => new RegExp(`^${beginning}`).test(head))) throw new ApiError('unsupported_media_type', `${field} does not begin as ${type} does`, { details: { field } })
    return { filename: name, content_type: type, content: data, size }
  })
}

/** Looks for what must not be there: a pattern of the whole would need a stack as deep as the file is long. */
function isBase64 (data: string): boolean {
  const end = data.endsWith('==') ? -2 : data.endsWith('=') ? -1 : undefined
  return data.length % 4 === 0 && !/[^A-Za-z0-9+/]/.test(data.slice(0, end))
}
