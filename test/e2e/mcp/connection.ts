/** What of a tool the cases look at. */
export interface Tool { name: string, outputSchema?: object }

/** What a tool call came to. */
export interface Result { content: { type: string, text?: string }[], structuredContent?: unknown, isError?: boolean }

/** What all clients can do. A failure of the protocol throws an error with the `code` of JSON-RPC. */
export interface Connection {
  revision: string | undefined
  tools: () => Promise<Tool[]>
  call: (name: string, args: Record<string, unknown>) => Promise<Result>
  close: () => Promise<void>
}

/** Somebody else's client. Connecting to a server with a key that is refused throws an error with the `status` of HTTP. */
export interface Maker {
  name: string
  revision: RegExp
  /** Why it cannot run here; undefined when it can. */
  missing: () => string | undefined
  connect: (url: string, key: string) => Promise<Connection>
  /** It calls no tool that is not in the list. */
  looksFirst?: true
  /** A message that was refused on its way it only logs: who waits for the answer is not told, and what is asked next fails. */
  hidesRefusals?: true
}
