/** Until a server runs there is nothing to finish. Process 1 of a container is not ended by a signal that it does not handle. */
let onSignal: () => void = () => { process.exit(0) }

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => { onSignal() })

/** Takes SIGHUP for a wish to read the settings again. Without this the signal ends the process, as when its terminal closes. */
export function onHangup (reload: () => void): void {
  process.on('SIGHUP', reload)
}

/** Resolves at the first signal to stop; the second does not wait. */
export async function stopSignal (): Promise<void> {
  await new Promise<void>((resolve) => {
    onSignal = () => {
      onSignal = () => { process.exit(1) }
      resolve()
    }
  })
}
