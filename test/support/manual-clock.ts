/** A clock that moves when told to. Starts at the real time, because deadlines are real. */
export class ManualClock {
  #offsetMs = 0
  now(): number {
    return Date.now() + this.#offsetMs
  }
  monotonic(): number {
    return performance.now() + this.#offsetMs
  }
  advance(ms: number): void {
    this.#offsetMs += ms
  }
}
