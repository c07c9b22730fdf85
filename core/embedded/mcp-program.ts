import { setTimeout as wait } from 'node:timers/promises'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'

const patienceMs = 500

/** An MCP server that was started as a program, and that ends when it is told to, in one way or another. */
export class McpProgram extends StdioClientTransport {
  #started: number | undefined

  override async start (): Promise<void> {
    await super.start()
    this.#started = this.pid ?? undefined
  }

  /** Waits for the end of the program, and sees to it. Its input is closed by then, which most take as the end. */
  async end (closed: Promise<void>): Promise<void> {
    // the package alone would take four seconds, and would not finish when this process ends first
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await Promise.race([closed, wait(patienceMs)])
      if (this.#started === undefined || !tell(this.#started, signal)) return
    }
    await Promise.race([closed, wait(patienceMs)])
  }
}

/** Sends a signal; false when there is nobody any more to get it. */
function tell (pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
