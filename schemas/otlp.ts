import { Type, type Static } from '@sinclair/typebox'
import type { Contract } from './contract.ts'

/** The largest body, inflated. Protobuf is read record by record and holds up nobody. */
export const otlpBytes = 16 * 1_048_576
/** The largest body of JSON, which is parsed in one go: 25 ms for 2,500 records, 400 ms where it is written to be slow. */
export const otlpJsonBytes = 2 * 1_048_576
/** Records of one request that are taken. */
export const otlpRecords = 10_000

const Free = Type.Object({}, { additionalProperties: true })

/** ExportLogsServiceRequest (opentelemetry-proto 1.x), as its JSON mapping has it; what a record cannot use of it is told in `partialSuccess`. */
const OtlpLogs = Type.Object({ resourceLogs: Type.Optional(Type.Array(Free, { maxItems: otlpRecords })) }, { title: 'OtlpLogs', additionalProperties: true, examples: [{ resourceLogs: [] }] })

/** ExportTraceServiceRequest. */
const OtlpTraces = Type.Object({ resourceSpans: Type.Optional(Type.Array(Free, { maxItems: otlpRecords })) }, { title: 'OtlpTraces', additionalProperties: true, examples: [{ resourceSpans: [] }] })

const count = Type.Optional(Type.String({ pattern: '^[0-9]+$', description: 'As proto3 JSON spells 64-bit integers', examples: ['2'] }))

/** ExportLogsServiceResponse and ExportTraceServiceResponse, in the media type of the request. */
export const OtlpAnswer = Type.Object({
  partialSuccess: Type.Optional(Type.Object({
    rejectedLogRecords: count,
    rejectedSpans: count,
    errorMessage: Type.String({ examples: ['2 left out: traceId must be 32 hex digits'] })
  }))
}, { title: 'OtlpAnswer', examples: [{}] })
export type OtlpAnswer = Static<typeof OtlpAnswer>

const about = (message: string) => `OTLP/HTTP 1.x: ${message} as JSON (2 MiB at most) or as \`application/x-protobuf\` (16 MiB), gzip or not, 10,000 records: ` +
  'give an exporter `http://host:8000/api` as its endpoint, and an admin key. The answer has the media type of the request; `partialSuccess` counts what was left out, and says why.'

export const logIngest = {
  operationId: 'log_ingest',
  summary: 'Take logs of a service (OTLP)',
  description: `${about('ExportLogsServiceRequest')} The records appear in \`log_stream\`, once for each time they are sent.`,
  tags: ['otlp'],
  body: OtlpLogs,
  response: { 200: OtlpAnswer },
  failures: ['unsupported_media_type', 'payload_too_large', 'state_unavailable']
} satisfies Contract

export const traceIngest = {
  operationId: 'trace_ingest',
  summary: 'Take traces of a service (OTLP)',
  description: `${about('ExportTraceServiceRequest')} The spans appear in \`trace_stream\`, once however often they are sent.`,
  tags: ['otlp'],
  body: OtlpTraces,
  response: { 200: OtlpAnswer },
  failures: ['unsupported_media_type', 'payload_too_large', 'state_unavailable']
} satisfies Contract
