/** How the binary ends (sysexits.h). A service manager restarts on all but 64 and 78: those need the operator. */
export const EXIT_CODES = {
  ok: 0,
  /** A command looked, and what it found is wrong. */
  problems: 1,
  /** Wrong arguments. */
  usage: 64,
  /** The address or the store is in use by another process; a command could not reach the token. */
  unavailable: 69,
  /** A fault of this program, or a token library that only a new process can help. */
  software: 70,
  /** The configuration, or what it points to, is wrong. */
  config: 78,
} as const

/** Each exit code in a few words, for the help and for docs/cli.md. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT_CODES, string>> = {
  ok: 'done',
  problems: 'what was looked at is not in order (`doctor`, `token objects`)',
  usage: 'wrong arguments',
  unavailable: 'address or store in use, token out of reach',
  software: 'internal error, or a token library that only a new process can help',
  config: 'wrong configuration, with every problem listed',
}
