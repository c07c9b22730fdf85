import { toolsOf } from './agent-tools.ts'
import type { StoredAgent } from './agents.ts'
import { newId } from './envelope.ts'
import { factsIn } from './facts.ts'
import type { Memory } from './memory.ts'
import { type Model, ModelError, type Turn } from './model.ts'
import { choose } from './overlord.ts'
import type { ChatRequest } from './requests.ts'
import type { State } from './state.ts'

/** What a caller wants said. */
export interface Ask {
  message: string
  files: { filename?: string }[]
  user: string
  session: string | undefined
  requestId: string | undefined
  agentId: string | undefined
}

/** One frame of a chat stream, without the members that all frames share. */
export type Token = { type: string, content: string, stage?: string } & Record<string, unknown>

/** A chat that has begun: its frames, and what it is known by. */
export interface Chat { request: ChatRequest, tokens: AsyncGenerator<Token> }

const apology = 'I apologize, but I ran into a problem while working on your request. Please try again in a moment.'

/** Begins a chat; it ends as cancelled when the client goes before its end. */
export function startChat (state: State, model: Model, ask: Ask, gone: AbortSignal): Chat {
  const { requests, users } = state
  const ids = { request_id: ask.requestId ?? newId('req'), user_id: ask.user, session_id: ask.session }
  const { request, stopped } = requests.start(ids)
  gone.addEventListener('abort', () => requests.end(request, 'cancelled'), { once: true })
  users.seen(ask.user)
  return { request, tokens: converse(state, { model, ask, request, signal: AbortSignal.any([gone, stopped]) }) }
}

interface Begun { model: Model, ask: Ask, request: ChatRequest, signal: AbortSignal }

async function * converse (state: State, { model, ask, request, signal }: Begun): AsyncGenerator<Token> {
  const { message, agentId } = ask
  const began = performance.now()
  yield { type: 'progress', content: 'Request received...', stage: 'init', skip_rephrase: true }

  const known = agentId === undefined ? undefined : state.agents.get(agentId)
  // naming an agent skips the routing; an unknown name is answered by whoever is chosen
  if (!known) yield { type: 'planning', content: 'Selecting the agent...', stage: 'agent_selection', message_preview: message.slice(0, 100), agent_requested: agentId ?? null }
  const { agent, confidence } = known ? { agent: known, confidence: 1 } : choose([...state.agents.values()], message, (agent) => skillsOf(state, agent))
  const routing = state.offers === 'all' ? { routing_confidence: confidence } : {}
  yield { type: 'progress', content: `Selected ${agent.name}`, stage: 'agent_selected', selected_agent: agent.id, ...routing }

  const history = ask.session === undefined ? [] : state.memory.of(ask.user, ask.session)
  note(state, agent, ask, { role: 'user', text: message, request })
  let text = ''
  let isBroken = false
  let status: 'success' | 'error' = 'success'
  try {
    for await (const piece of model({ agent, message, files: ask.files, history, signal, ...abilitiesOf(state, agent, message) })) {
      state.requests.answers(request)
      if (piece.type === 'content') {
        text += piece.text
        yield { type: 'content', content: piece.text, stage: 'response_generation', skip_rephrase: true }
      } else if (piece.type === 'again') {
        text = piece.text
        isBroken = true
      } else if (state.offers === 'all') {
        yield { type: piece.type, content: '', stage: 'tool_call', tool_call: piece.tool_call }
      }
    }
  } catch (err) {
    if (signal.aborted) {
      state.requests.end(request, 'cancelled')
      return yield { type: 'cancelled', content: 'The request was cancelled.' }
    }
    if (!(err instanceof ModelError)) throw err
    isBroken = text !== ''
    status = 'error'
    text = apology
  }

  note(state, agent, ask, { role: 'assistant', text, request })
  state.requests.end(request, 'completed', text)
  state.usage.add({ agent: agent.id, asked: message, answered: text })
  if (status === 'success') learn(state, agent, { message, user: ask.user, request })
  yield {
    type: 'completed',
    content: text,
    status,
    processing_time_ms: Math.round(performance.now() - began),
    agent_used: agent.id,
    ...(isBroken && { stream_discontinuity: true })
  }
}

/** What the model may draw on beside the conversation; the real Core has none of it. */
function abilitiesOf ({ mcp, knowledge, offers }: State, agent: StoredAgent, message: string): Pick<Turn, 'tools' | 'passages'> {
  if (offers === 'real') return { tools: [], passages: [] }
  return { tools: toolsOf(mcp.of(agent)), passages: knowledge.search(agent.id, message.slice(0, 2000), { limit: 3, threshold: 0.5 }) }
}

function skillsOf ({ mcp, offers }: State, agent: StoredAgent): string {
  if (offers === 'real') return ''
  const tools = mcp.of(agent).flatMap(({ tools }) => tools.map(({ name }) => name))
  return [...tools, ...agent.knowledge_sources.map(({ id, description }) => `${id} ${description}`)].join(' ')
}

function learn ({ facts }: State, agent: StoredAgent, { message, user, request }: { message: string, user: string, request: ChatRequest }): void {
  for (const content of factsIn(message.replace(/\[fake:[^\]]*\]/g, ''))) {
    facts.add({ user_id: user, content, agent_id: agent.id, message_id: request.request_id, metadata: { source: 'chat' } })
  }
}

/** Members of the stats that are counted once: who has spoken with an agent, and in which sessions. */
const counted = new WeakMap<StoredAgent, { sessions: Set<string>, users: Set<string> }>()

function note (state: State, agent: StoredAgent, { user, session }: Ask, said: { role: 'user' | 'assistant', text: string, request: ChatRequest }): void {
  const { memory } = state
  const seen = counted.get(agent) ?? countedIn(memory, agent)
  counted.set(agent, seen)
  state.changed()
  const { role, text, request: { request_id: id } } = said
  agent.stats.total_messages++
  if (!seen.users.has(user)) agent.stats.active_users++
  seen.users.add(user)
  if (session === undefined) return
  const conversation = `${user}\n${session}`
  if (!seen.sessions.has(conversation)) agent.stats.conversations++
  seen.sessions.add(conversation)
  memory.add({ role, text, user_id: user, session_id: session, request_id: id, agent_id: agent.id })
}

/** Whom an agent has spoken with before a restart, as far as the messages tell. */
function countedIn (memory: Memory, { id, stats }: StoredAgent): { sessions: Set<string>, users: Set<string> } {
  const said = stats.total_messages === 0 ? [] : memory.all.filter(({ agent_id: agent }) => agent === id)
  return { sessions: new Set(said.map(({ user_id: user, session_id: session }) => `${user}\n${session}`)), users: new Set(said.map(({ user_id: user }) => user)) }
}
