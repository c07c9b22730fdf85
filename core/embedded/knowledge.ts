import type { KnowledgeSource, StoredAgent } from './agents.ts'
import { invalidMember } from './body.ts'
import { CoreError, seconds } from './envelope.ts'
import { paragraphsOf } from './paragraphs.ts'
import { TextIndex } from './text-index.ts'

export interface Passage { content: string, similarity: number, knowledge_id: string, document_id: string }

/** Documents by agent and source; the sources themselves are listed in the agent. */
export type Documents = Record<string, Record<string, string[]>>

interface Shelf { index: TextIndex, documents: Map<string, string[]> }

const mostSources = 1000
const mostDocuments = 20_000

/** What the agents can look up. */
export class Knowledge {
  readonly #shelves = new Map<string, Shelf>()

  /** Cuts a text into documents and gives them to an agent. */
  async add (agent: StoredAgent, source: Pick<KnowledgeSource, 'id' | 'description'>, text: string): Promise<KnowledgeSource> {
    if (agent.knowledge_sources.some(({ id }) => id === source.id)) throw new CoreError(409, 'RESOURCE_CONFLICT', `Knowledge '${source.id}' already exists`)
    if (agent.knowledge_sources.length >= mostSources) throw new CoreError(409, 'RESOURCE_CONFLICT', `an agent has at most ${mostSources} knowledge sources`)
    const documents = paragraphsOf(text)
    if (documents.length === 0) throw invalidMember('content', 'there is no text in it')
    if (documents.length > mostDocuments) throw invalidMember('content', `it has more than ${mostDocuments} paragraphs`)
    const added = { ...source, document_count: documents.length, created_at: seconds() }
    agent.knowledge_sources.push(added)
    await this.#keep(agent.id, source.id, documents)
    return added
  }

  remove (agent: StoredAgent, id: string): void {
    const at = agent.knowledge_sources.findIndex((source) => source.id === id)
    if (at < 0) throw new CoreError(404, 'RESOURCE_NOT_FOUND', `Knowledge '${id}' not found`)
    agent.knowledge_sources.splice(at, 1)
    const shelf = this.#shelves.get(agent.id)
    shelf?.index.remove((shelf.documents.get(id) ?? []).map((_, at) => nameOf(id, at)))
    shelf?.documents.delete(id)
  }

  /** Forgets all that an agent could look up. */
  forget (agent: string): void {
    this.#shelves.delete(agent)
  }

  search (agent: string, query: string, limits: { limit: number, threshold: number }): Passage[] {
    const hits = this.#shelves.get(agent)?.index.search(query, limits) ?? []
    return hits.map(({ id, text, similarity }) => ({ content: text, similarity, knowledge_id: id.slice(0, id.lastIndexOf('_')), document_id: id }))
  }

  /** All documents, as they are written to a file. */
  documents (): Documents {
    return Object.fromEntries([...this.#shelves].map(([agent, { documents }]) => [agent, Object.fromEntries(documents)]))
  }

  /** Takes back what `documents` gave. */
  async restore (documents: Documents): Promise<void> {
    for (const [agent, sources] of Object.entries(documents)) {
      for (const [id, texts] of Object.entries(sources)) await this.#keep(agent, id, texts)
    }
  }

  async #keep (agent: string, id: string, texts: string[]): Promise<void> {
    const shelf = this.#shelves.get(agent) ?? { index: new TextIndex(), documents: new Map() }
    this.#shelves.set(agent, shelf)
    shelf.documents.set(id, texts)
    await shelf.index.add(texts.map((text, at) => ({ id: nameOf(id, at), text })))
  }
}

function nameOf (source: string, at: number): string {
  return `${source}_${at + 1}`
}
