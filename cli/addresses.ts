const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i
const inside = /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|f[cd][0-9a-f]{2}:|fe80:)/i

/** Whether a host, as it stands in a setting or a URL, is this machine and no other reaches it. */
export function isLoopback (host: string): boolean {
  return loopback.test(plainAddress(host))
}

/** Whether an address is of a machine or network that the public does not reach. */
export function isInside (address: string): boolean {
  return isLoopback(address) || inside.test(plainAddress(address))
}

/** `::ffff:10.0.0.1` is 10.0.0.1 to everybody but a dual-stack socket. */
export function plainAddress (address: string): string {
  return address.replace(/^::ffff:/i, '')
}
