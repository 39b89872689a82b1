import { readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { startHaToken } from '../../src/providers/pkcs11/ha-token.ts'
import type { Pkcs11TokenSettings } from '../../src/providers/pkcs11/settings.ts'
import type { ServedToken, TokenMember } from '../../src/providers/pkcs11/token-set.ts'
import { MemoryKeyStore } from './memory-key-store.ts'
import { eventually, LogRecorder, makeSoftHsm, type SoftHsm, settingsFor } from './softhsm.ts'

/** Longer than any test: the module is never initialized anew while the other token works. */
const NEVER_MS = 3_600_000

/** A SoftHSM with the tokens `first` and `second`, and what serves the one with the other as its replica, under the name `main`. */
export class HaFixture {
  readonly softHsm: SoftHsm = makeSoftHsm()
  readonly store = new MemoryKeyStore()
  readonly log = new LogRecorder()
  #started: ServedToken[] = []

  constructor() {
    for (const label of ['first', 'second']) this.softHsm.initToken(label)
  }

  async start(
    overrides: Partial<Pkcs11TokenSettings> = {},
    failbackDelayMs = 0,
    replicaOverrides: Partial<Pkcs11TokenSettings> = {},
  ): Promise<ServedToken> {
    const of = (label: string, more: Partial<Pkcs11TokenSettings> = {}) =>
      settingsFor(label, { moduleRestartIntervalMs: NEVER_MS, ...overrides, ...more })
    const events = {
      log: this.log,
      onFatal: (error: Error) => {
        throw error
      },
    }
    const settings = {
      primary: of('first'),
      replica: of('second', replicaOverrides),
      failbackDelayMs,
      proveIntervalMs: 1000,
    }
    const token = await startHaToken(settings, this.store, events, events)
    this.#started.push(token)
    return token
  }

  async stop(token: ServedToken): Promise<void> {
    await token.close()
    this.#started = this.#started.filter((one) => one !== token)
  }

  /** Takes a token away. @returns What brings it back. */
  pull(label: 'first' | 'second'): () => void {
    const folder = this.#folderOf(label)
    const away = `${this.softHsm.directory}/${label}.gone`
    renameSync(folder, away)
    return () => renameSync(away, folder)
  }

  #folderOf(label: string): string {
    const { tokens } = this.softHsm
    const holds = (folder: string) =>
      readFileSync(join(tokens, folder, 'token.object')).includes(label.padEnd(32))
    const name = readdirSync(tokens).find(holds)
    if (!name) throw new Error(`no folder of ${label}`)
    return join(tokens, name)
  }

  async remove(): Promise<void> {
    await Promise.all(this.#started.map((token) => token.close()))
    this.softHsm.remove()
  }
}

export function memberOf(token: ServedToken, which: TokenMember['member']): TokenMember | undefined {
  return token.members().find(({ member }) => member === which)
}

/** What the replica was found to hold. */
export function copiesOf(token: ServedToken): TokenMember['copies'] {
  return memberOf(token, 'replica')?.copies
}

/** Waits until the replica holds `count` versions and lacks none. */
export function proven(token: ServedToken, count = 1): Promise<void> {
  return eventually(() => copiesOf(token)?.proven === count && copiesOf(token)?.unproven === 0)
}
