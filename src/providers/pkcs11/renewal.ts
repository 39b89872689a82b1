import { setTimeout as delay } from 'node:timers/promises'
import type { LaneFleet } from './lane-fleet.ts'

/** How long calls that were begun may keep a renewal waiting. Milliseconds. */
const DRAIN_MS = 500
const DRAIN_LOOK_MS = 2
/** After a renewal that could not be had, so many session objects more are made before the next try. */
const PUT_OFF_SHARE = 0.1

export interface RenewalDeps {
  readonly lanes: Pick<LaneFleet, 'depth'>
  /** Leaves the library, initializes it anew and connects once. Resolves when that attempt ended, however it did. */
  renew(): Promise<void>
  /** Whether now is a moment for that: nothing slow is under way, and nobody would be interrupted too often. */
  mayRenew(): boolean
}

/**
 * New beginnings of a library that we choose, not a fault: some libraries keep memory of every session object until
 * C_Finalize (vendor-quirks.ts). Meanwhile calls wait before they take handles, and no caller is refused.
 */
export class Renewal {
  readonly #deps: RenewalDeps
  #objectsMax = Number.POSITIVE_INFINITY
  #dueAt = Number.POSITIVE_INFINITY
  #underWay: Promise<void> | undefined

  constructor(deps: RenewalDeps) {
    this.#deps = deps
  }

  /** What calls wait for before they begin; absent nearly always. */
  get underWay(): Promise<void> | undefined {
    return this.#underWay
  }

  /**
   * The token is connected.
   *
   * @param objectsMax - Session objects after which the library is renewed; never where it is absent.
   * @param objects - Those that were made since it was initialized.
   */
  begin(objectsMax: number = Number.POSITIVE_INFINITY, objects = 0): void {
    this.#objectsMax = objectsMax
    this.#dueAt = objects < objectsMax ? objectsMax : objects + objectsMax * PUT_OFF_SHARE
  }

  /** @param objects - Session objects that were made since the library was initialized. */
  note(objects: number): void {
    if (objects < this.#dueAt || this.#underWay) return
    this.#dueAt = objects + this.#objectsMax * PUT_OFF_SHARE
    if (this.#deps.mayRenew()) void this.calmly(() => this.#deps.renew())
  }

  /**
   * Lets calls that were begun end and others wait, while `work` runs.
   *
   * @returns False, without `work`, where the former take too long.
   */
  async calmly(work: () => Promise<void>): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#underWay = promise
    try {
      const drained = await this.#drained()
      if (drained) await work()
      return drained
    } finally {
      this.#underWay = undefined
      resolve()
    }
  }

  async #drained(): Promise<boolean> {
    const until = performance.now() + DRAIN_MS
    while (this.#deps.lanes.depth > 0) {
      if (performance.now() > until) return false
      await delay(DRAIN_LOOK_MS)
    }
    return true
  }
}
