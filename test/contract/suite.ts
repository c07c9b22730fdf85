import { describe } from 'vitest'
import { accessCases } from './access.ts'
import { agentCases } from './agents.ts'
import { capabilityCases } from './capabilities.ts'
import { chatCases } from './chat.ts'
import { contextCases } from './contexts.ts'
import { conversationCases } from './conversations.ts'
import { failureCases } from './failures.ts'
import { knowledgeCases } from './knowledge.ts'
import { memoryCases } from './memory.ts'
import { streamCases } from './streams.ts'
import { systemCases } from './system.ts'
import type { ContractTest } from './target.ts'
import { toolServerCases } from './tool-servers.ts'
import { toolCases } from './tools.ts'

/** What every server in front of every Core does. A Core that lacks a capability changes the answer to 501, and nothing else. */
export function contract (test: ContractTest): void {
  describe('access', () => { accessCases(test) })
  describe('capabilities', () => { capabilityCases(test) })
  describe('agents', () => { agentCases(test) })
  describe('chat', () => { chatCases(test) })
  describe('chat streams', () => { streamCases(test) })
  describe('conversations', () => { conversationCases(test) })
  describe('memory', () => { memoryCases(test) })
  describe('users and contexts', () => { contextCases(test) })
  describe('tool servers', () => { toolServerCases(test) })
  describe('knowledge', () => { knowledgeCases(test) })
  describe('status and usage', () => { systemCases(test) })
  describe('tools', () => { toolCases(test) })
  // Last: after these the real Core apologises to everybody for a minute.
  describe('a model that fails', () => { failureCases(test) })
}
