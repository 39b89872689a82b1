import { realpath } from 'node:fs/promises'
import type { LaneAttachment, LaneFleet } from './lane-fleet.ts'
import type { MaterialName } from './object-names.ts'
import type { Connected } from './procedures/connect.ts'
import type { Pkcs11TokenSettings } from './settings.ts'
import { type ModuleMember, type SharedModule, sharedModuleAt } from './shared-module.ts'
import type { TokenCriteria } from './token-selector.ts'

/** The pause between interruptions of other tokens doubles with each one that did not help, so many times. */
const DOUBLINGS_MAX = 4

/** How one connection uses its library, with regard to the others of this process that use it. */
export class ModuleAccess {
  readonly #settings: Pkcs11TokenSettings
  readonly #criteria: TokenCriteria
  readonly #lanes: LaneFleet
  readonly #member: ModuleMember
  /** What was found at the configured path, and who else uses it. */
  #opened: { readonly path: string; readonly shared: SharedModule } | undefined
  /** CK_SLOT_ID of the current connection in hex. */
  #slotHex: string | undefined
  /** Interruptions of other tokens since this one was connected. */
  #interruptions = 0

  /** @param leave - As in {@link ModuleMember}. */
  constructor(
    settings: Pkcs11TokenSettings,
    criteria: TokenCriteria,
    lanes: LaneFleet,
    leave: ModuleMember['leave'],
  ) {
    this.#settings = settings
    this.#criteria = criteria
    this.#lanes = lanes
    const hangs = () => lanes.lost.hung > 0
    const busy = () => lanes.pair.depth > 0
    this.#member = { name: settings.name, hangs, busy, leave }
  }

  /** Whether something hangs in the library, whoever's it is, so that it cannot be finalized. */
  get hangs(): boolean {
    return this.#opened?.shared.hangs ?? false
  }

  /** Session objects that this process made since the library was initialized, whoever did. */
  get sessionObjects(): number {
    return this.#opened?.shared.sessionObjects ?? 0
  }

  countSessionObjects(count: number): void {
    this.#opened?.shared.countSessionObjects(count)
  }

  /** Whether the library may be initialized anew for no fault. */
  get mayRenew(): boolean {
    const shared = this.#opened?.shared
    if (!shared || shared.busy) return false
    return shared.mayFinalize(this.#member, this.#settings.moduleRestartIntervalMs, Number.POSITIVE_INFINITY)
  }

  /**
   * Connects and attaches every lane, while nobody else connects or finalizes.
   *
   * @param witness - A key that the token must show, where it may be that the library has lost sight of it.
   * @param up - Runs before it is anybody else's turn.
   * @throws What the token answered; every session is closed then.
   */
  async connect(
    takePin: () => Promise<Buffer>,
    witness: MaterialName | undefined,
    up: (connected: Connected) => void,
  ): Promise<void> {
    const { shared } = await this.#open()
    await shared.connect(this.#member, async (taken) => {
      const { userType } = this.#settings
      const role = userType === undefined ? {} : { userType }
      const seen = witness ? { witness } : {}
      const request = { ...this.#module(), ...role, ...seen, criteria: this.#criteria, taken }
      const connected = await this.#lanes.connect(request, await takePin())
      this.#slotHex = connected.slotHex
      this.#interruptions = 0
      await this.#attachLanes(connected)
      up(connected)
      return connected.slotHex
    })
  }

  attachmentOf({ slotHex, capabilities }: Connected): LaneAttachment {
    return { ...this.#module(), slotHex, capabilities }
  }

  /** Closes every lane's session, then all that this process has with the token. */
  async release(): Promise<void> {
    await this.#lanes.detachAll()
    if (!this.#opened) return
    const { path, shared } = this.#opened
    const slotHex = this.#slotHex
    // Once the library is initialized anew, the slot of that number may be another token's.
    this.#slotHex = undefined
    // A lane that hangs may hold the locks of the library.
    await this.#lanes.disconnect(path, this.#lanes.lost.hung > 0 ? undefined : slotHex)
    shared.left(this.#member)
  }

  /**
   * C_Finalize, where it interrupts no other token or has not done so for a while. Only after {@link ModuleAccess.release}.
   *
   * @param waitedMs - How long the token was tried for without.
   * @param calm - As for {@link ModuleMember.leave}.
   * @returns Whether it was finalized.
   */
  async finalize(waitedMs: number, calm = false): Promise<boolean> {
    if (!this.#opened) return false
    const { path, shared } = this.#opened
    const doublings = Math.min(this.#interruptions, DOUBLINGS_MAX)
    const pauseMs = this.#settings.moduleRestartIntervalMs * 2 ** doublings
    if (!shared.mayFinalize(this.#member, pauseMs, waitedMs)) return false
    let finalized = false
    const finalize = async () => {
      finalized = await this.#lanes.finalize(path)
    }
    const interrupted = await shared.finalize(this.#member, finalize, calm)
    if (interrupted) this.#interruptions += 1
    return finalized
  }

  /** The last to end finalizes the library. */
  async end(): Promise<void> {
    await this.finalize(Number.NEGATIVE_INFINITY)
    this.#opened?.shared.remove(this.#member)
  }

  async #open() {
    const path = await realpath(this.#settings.module)
    const shared = await sharedModuleAt(path)
    if (this.#opened?.shared !== shared) this.#opened?.shared.remove(this.#member)
    shared.add(this.#member)
    this.#opened = { path, shared }
    return this.#opened
  }

  async #attachLanes(connected: Connected): Promise<void> {
    try {
      await this.#lanes.attachAll(this.attachmentOf(connected))
    } catch (error) {
      await this.release()
      throw error
    }
  }

  #module() {
    const { libraryParameters } = this.#settings
    const module = this.#opened?.path ?? ''
    return { module, ...(libraryParameters === undefined ? {} : { libraryParameters }) }
  }
}
