/** Longer than any line that is logged; what is longer is cut, so that a broken writer takes no memory. */
const LINE_BYTES_MAX = 1_048_576
const NEWLINE = 0x0a

/** Passes on whole lines of a stream of bytes, many at a time. A line that never ended is not passed on. */
export class WholeLines {
  readonly #take: (text: string) => void
  #rest: Buffer[] = []
  #restBytes = 0

  /** @param take - Gets one line or more, the last newline included. */
  constructor(take: (text: string) => void) {
    this.#take = take
  }

  add(chunk: Buffer): void {
    const end = chunk.lastIndexOf(NEWLINE) + 1
    if (end > 0) {
      this.#take(Buffer.concat([...this.#rest, chunk.subarray(0, end)]).toString('utf8'))
      this.#rest = []
      this.#restBytes = 0
    }
    const rest = chunk.subarray(end)
    if (rest.length === 0 || this.#restBytes + rest.length > LINE_BYTES_MAX) return
    this.#rest.push(rest)
    this.#restBytes += rest.length
  }
}
