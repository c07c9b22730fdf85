import { describe } from 'vitest'
import { accessCases } from './access.ts'
import { agentCases } from './agents.ts'
import { chatCases } from './chat.ts'
import { failureCases } from './failures.ts'
import { streamCases } from './streams.ts'
import type { ContractTest } from './target.ts'
import { toolCases } from './tools.ts'

/** What every server in front of every Core does. A Core that lacks a capability changes the answer to 501, and nothing else. */
export function contract (test: ContractTest): void {
  describe('access', () => { accessCases(test) })
  describe('agents', () => { agentCases(test) })
  describe('chat', () => { chatCases(test) })
  describe('chat streams', () => { streamCases(test) })
  describe('tools', () => { toolCases(test) })
  // Last: after these the real Core apologises to everybody for a minute.
  describe('a model that fails', () => { failureCases(test) })
}
