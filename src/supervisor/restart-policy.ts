/** So many ends in a row are mended at once: a crash every few seconds still serves. */
const AT_ONCE_MAX = 5
const FIRST_DELAY_MS = 500
const DELAY_MS_MAX = 30_000
/** Who served for so long is not the one that ends again and again. */
const STABLE_MS = 60_000

/** When a worker that ended is started anew: at once, until it ends again and again. */
export class RestartPolicy {
  #endsInARow = 0

  /**
   * Notes that a process ended.
   *
   * @param servedMs - How long it served; 0 when it never did.
   * @returns How long to wait before the next is started.
   */
  ended(servedMs: number): number {
    this.#endsInARow = servedMs >= STABLE_MS ? 1 : this.#endsInARow + 1
    const late = this.#endsInARow - AT_ONCE_MAX
    return late <= 0 ? 0 : Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** (late - 1))
  }

  /** Ends since one served for a while. */
  get endsInARow(): number {
    return this.#endsInARow
  }

  /** Whether the next start is put off. */
  get loops(): boolean {
    return this.#endsInARow > AT_ONCE_MAX
  }
}
