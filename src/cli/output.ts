/** Writes a line for the person or program that ran the command. */
export function printLine(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Writes a line about what went wrong. */
export function printError(text: string): void {
  process.stderr.write(`p11kms: ${text}\n`)
}
