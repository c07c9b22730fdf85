/** Where an event stands: `<epoch>.<number>.<nonce>` on the wire. The nonce is `-` where no event has that number. */
export interface Position { epoch: string, seq: number, nonce: string }

export const noNonce = '-'
const form = /^([A-Za-z0-9_-]{1,24})\.(0|[1-9]\d{0,14})\.([A-Za-z0-9_-]{1,16})$/

export function idOf ({ epoch, seq, nonce }: Position): string {
  return `${epoch}.${seq}.${nonce}`
}

/** undefined: no id of ours. */
export function positionOf (id: string): Position | undefined {
  const [, epoch, seq, nonce] = form.exec(id) ?? []
  return epoch === undefined ? undefined : { epoch, seq: Number(seq), nonce: nonce! }
}
