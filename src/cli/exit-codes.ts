/** How the binary ends (sysexits.h). A service manager restarts on all but 64 and 78: those need the operator. */
export const EXIT_CODES = {
  ok: 0,
  /** Wrong arguments. */
  usage: 64,
  /** The address or the store is in use by another process. */
  unavailable: 69,
  /** A fault of this program, or a token library that only a new process can help. */
  software: 70,
  /** The configuration, or what it points to, is wrong. */
  config: 78,
} as const
