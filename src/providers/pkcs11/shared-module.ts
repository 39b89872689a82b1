import { stat } from 'node:fs/promises'

/** What the connections to the tokens of one library must know of each other. */
export interface ModuleMember {
  /** Name of the token, for operators. */
  readonly name: string
  /** Whether a lost lane may still be inside the library: C_Finalize under it would crash the process. */
  hangs(): boolean
  /** Whether it is about something that takes seconds. */
  busy(): boolean
  /**
   * Ends the connection, because the library is about to be finalized. Resolves when nothing of it is inside.
   *
   * @param calm - Calls wait until it is connected again, instead of being refused.
   */
  leave(reason: string, calm: boolean): Promise<void>
}

/**
 * One library of this process. C_Initialize and C_Finalize are calls per process, so what one connection does with them
 * happens to all: connects and finalizations of one library take turns, and a finalization asks every other connection
 * to leave first. Those connect anew by themselves.
 */
export class SharedModule {
  readonly #members = new Set<ModuleMember>()
  /** Members with sessions in the library, by their CK_SLOT_ID in hex. */
  readonly #inside = new Map<ModuleMember, string>()
  #turn: Promise<void> = Promise.resolve()
  #finalizedAt = Number.NEGATIVE_INFINITY
  #sessionObjects = 0

  /** Whether a lost lane of anybody may still be inside the library. */
  get hangs(): boolean {
    return [...this.#members].some((member) => member.hangs())
  }

  /** Session objects that everybody made since the library was last finalized. */
  get sessionObjects(): number {
    return this.#sessionObjects
  }

  countSessionObjects(count: number): void {
    this.#sessionObjects += count
  }

  /** Whether anybody is about something that takes seconds, which a finalization would wait for. */
  get busy(): boolean {
    return [...this.#members].some((member) => member.busy())
  }

  add(member: ModuleMember): void {
    this.#members.add(member)
  }

  remove(member: ModuleMember): void {
    this.#members.delete(member)
    this.#inside.delete(member)
  }

  /** The member's sessions are closed. */
  left(member: ModuleMember): void {
    this.#inside.delete(member)
  }

  /**
   * Runs one connect, alone.
   *
   * @param run - Gets the slots that other tokens of the configuration are connected in, in hex, by the token's name;
   *   gives the slot that it connected to. When it throws, it has closed its sessions.
   */
  connect(
    member: ModuleMember,
    run: (taken: Readonly<Record<string, string>>) => Promise<string>,
  ): Promise<void> {
    return this.#inTurn(async () => {
      const taken = Object.fromEntries([...this.#inside].map(([{ name }, slot]) => [slot, name]))
      this.#inside.set(member, await run(taken))
    })
  }

  /**
   * Whether the library may be finalized for the sake of `member`. Never while something hangs in it; freely where nobody
   * else works in it; otherwise once per `pauseMs`, after the member tried for that long without.
   *
   * @param waitedMs - How long it tried.
   */
  mayFinalize(member: ModuleMember, pauseMs: number, waitedMs: number): boolean {
    if (this.hangs) return false
    if (this.#others(member).length === 0) return true
    return waitedMs >= pauseMs && performance.now() - this.#finalizedAt >= pauseMs
  }

  /**
   * Asks everybody else to leave, then runs `finalize`, unless something hangs by then.
   *
   * @param calm - As for {@link ModuleMember.leave}.
   * @returns Whether anybody was interrupted.
   */
  finalize(member: ModuleMember, finalize: () => Promise<void>, calm: boolean): Promise<boolean> {
    return this.#inTurn(async () => {
      const reason = `The module is initialized anew to find the token "${member.name}".`
      const others = this.#others(member)
      await Promise.all(others.map((other) => other.leave(reason, calm)))
      if (!this.hangs) {
        await finalize()
        this.#finalizedAt = performance.now()
        this.#sessionObjects = 0
      }
      return others.length > 0
    })
  }

  #others(member: ModuleMember): ModuleMember[] {
    return [...this.#inside.keys()].filter((other) => other !== member)
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#turn.then(work)
    this.#turn = done.then(
      () => undefined,
      () => undefined,
    )
    return await done
  }
}

const MODULES = new Map<string, SharedModule>()

/** The library at a path with its symlinks resolved. The loader tells libraries apart by their inode, so links are one. */
export async function sharedModuleAt(path: string): Promise<SharedModule> {
  const { dev, ino } = await stat(path)
  const key = `${dev}:${ino}`
  const known = MODULES.get(key) ?? new SharedModule()
  MODULES.set(key, known)
  return known
}
