import { inspector, inspectorMissing } from './inspector.ts'
import { goClient, goMissing, python, pythonMissing } from './programs.ts'

/** Makes what the clients are made of, where it is not there yet: no test should wait for a download. */
export async function prepare (): Promise<void> {
  if (pythonMissing() === undefined) await python()
  if (goMissing() === undefined) await goClient()
  if (inspectorMissing() === undefined) await inspector()
}
