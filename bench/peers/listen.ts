import '../probe.ts'

/** Tells the bench where this peer listens. */
export function listensAt (port: number): void {
  process.send?.({ url: `http://127.0.0.1:${port}` })
}
