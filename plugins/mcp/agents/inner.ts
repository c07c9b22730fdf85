import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import type { AgentSummary } from '../../../schemas/agents.ts'
import { rank } from '../../../schemas/contract.ts'
import type { ErrorBody } from '../../../schemas/errors.ts'
import { fits } from '../subset.ts'

/** What an operation of this server answered; `code` where it failed. */
export interface Answer { body: string, code: ErrorBody['error']['code'] | undefined }

/** Where an operation of this server refuses or fails: JSON-RPC has no code of its own for either. */
const refusedCode = -32_000
const pageSize = 100

/** Whether the caller may call an operation, and the Core can do it. */
export function isOpen ({ caller: { access, scope }, server: { core, operations } }: FastifyRequest, id: string): boolean {
  const operation = operations.find((one) => one.id === id)
  if (operation === undefined || rank[access] < rank[operation.access]) return false
  return (scope === undefined || scope.some((pattern) => fits(id, pattern))) && (operation.capability === undefined || core.offers(operation.capability))
}

/** Reads by the same way as any caller: validation, level and log are the same. */
export async function read (request: FastifyRequest, url: string): Promise<Answer> {
  const { statusCode, body } = await request.call({ method: 'GET', url })
  return { body, code: statusCode >= 400 ? (JSON.parse(body) as ErrorBody).error.code : undefined }
}

/** The failure of an operation, told by the protocol. */
export function refusalOf ({ body }: Answer): ProtocolError {
  const { error } = JSON.parse(body) as ErrorBody
  return new ProtocolError(refusedCode, error.message, error)
}

export interface AgentPage { agents: AgentSummary[], nextCursor: string | undefined }

/** Agents in the order of their ids; none for a caller who may not list them. */
export async function pageOfAgents (request: FastifyRequest, cursor?: string): Promise<AgentPage> {
  const offset = cursor === undefined ? 0 : offsetOf(cursor)
  if (!isOpen(request, 'agent_list')) return { agents: [], nextCursor: undefined }
  const answer = await read(request, `/api/v1/agents?sort=id&limit=${pageSize}&offset=${offset}`)
  if (answer.code !== undefined) throw refusalOf(answer)
  const { agents, pagination: { next_offset: next } } = JSON.parse(answer.body) as { agents: AgentSummary[], pagination: { next_offset: number | null } }
  return { agents, nextCursor: next === null ? undefined : Buffer.from(`agents ${next}`).toString('base64url') }
}

function offsetOf (cursor: string): number {
  const [, offset] = /^agents (\d{1,9})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (offset === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'the cursor is none of this list: begin without one')
  return Number(offset)
}
