/** Until a server runs there is nothing to finish. Process 1 of a container is not ended by a signal that it does not handle. */
let onSignal: () => void = () => { process.exit(0) }

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => { onSignal() })

/** Resolves at the first signal to stop; the second does not wait. */
export async function stopSignal (): Promise<void> {
  await new Promise<void>((resolve) => {
    onSignal = () => {
      onSignal = () => { process.exit(1) }
      resolve()
    }
  })
}
