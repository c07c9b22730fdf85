import type { Leaving } from './departure.ts'

/** No byte of the request can have left. */
const unsent = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])
/** The connection broke before or in the answer: safe to repeat for a read alone. */
const broken = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'UND_ERR_SOCKET', 'UND_ERR_CLOSED'])

export const codeOf = (error: unknown): string => {
  const { code, cause } = error as { code?: unknown, cause?: { code?: unknown } }
  return String(code ?? cause?.code ?? '')
}

/** Whether the failure is one of the network, not of what was asked. */
export const isNetworkFailure = (error: unknown): boolean => unsent.has(codeOf(error)) || broken.has(codeOf(error)) || /^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|UND_ERR(?!_INVALID|_NOT_SUPPORTED))/.test(codeOf(error))

/** Runs `attempt`, and again while that is safe: a read after any broken connection, a write only when nothing of it was sent. */
export async function withRetries<T> (attempt: () => Promise<T>, { retries, read, signal }: { retries: number, read: boolean, signal: Leaving | undefined }): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await attempt()
    } catch (error) {
      const again = unsent.has(codeOf(error)) || (read && broken.has(codeOf(error)))
      if (!again || failures >= retries || signal?.aborted) throw error
      // Full jitter: clients of one dead Core must not come back in step.
      await pause(Math.random() * Math.min(400, 50 * 2 ** (failures + 1)), signal)
    }
  }
}

/** Rejects at once when the caller leaves. */
async function pause (ms: number, signal: Leaving | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason instanceof Error ? signal.reason : new Error('the caller went away'))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort)
  })
}
