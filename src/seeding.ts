import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { ConfigError, type ConfigProblem } from './config/config-error.ts'
import type { SeedKey } from './config/seed-schema.ts'
import { KmsError } from './core/errors.ts'
import { isVisible } from './core/find-key.ts'
import { MULTI_REGION_ID_PREFIX } from './core/key.ts'
import type { Kms } from './core/kms.ts'
import { type CallContext, newTrail } from './core/kms-context.ts'
import type { KeyStore } from './core/ports/key-store.ts'
import type { ComponentHealth } from './http/health.ts'

/** Stands where a caller's access key id is. */
const SEED_CALLER = 'seed'
/** Key pairs take their time. */
const CALL_TIMEOUT_MS = 60_000
const RETRY_MS_MIN = 200
const RETRY_MS_MAX = 10_000

export interface SeedingDeps {
  readonly kms: Pick<Kms, 'ensureKey' | 'ensureAlias'>
  readonly store: Pick<KeyStore, 'getKey' | 'getAlias'>
  readonly log: Pick<Logger, 'info' | 'warn'>
}

/**
 * Makes what a seed asks for and is missing; what is there stays as it is, and the log tells where it differs. Of several
 * processes on one store one makes, before it tends; the others look. Until everything is there the service is not ready.
 */
export class Seeding {
  readonly #deps: SeedingDeps
  readonly #keys: readonly SeedKey[]
  readonly #stop = new AbortController()
  readonly #done = Promise.withResolvers<void>()
  #isDone: boolean
  #trouble: string | undefined
  #run: Promise<void> | undefined

  constructor(deps: SeedingDeps, keys: readonly SeedKey[]) {
    this.#deps = deps
    this.#keys = keys
    this.#isDone = keys.length === 0
    if (this.#isDone) this.#done.resolve()
  }

  /** Resolves when this process has found or made everything. */
  get done(): Promise<void> {
    return this.#done.promise
  }

  /**
   * Refuses a seed that this store can never serve.
   *
   * @throws ConfigError with every key whose id is taken.
   */
  async check(): Promise<void> {
    const problems: ConfigProblem[] = []
    for (const key of this.#keys) {
      const there = await this.#deps.store.getKey(key.region, key.keyId)
      const path = `${key.path}.keyId`
      if (!there) continue
      if (there.accountId !== key.accountId)
        problems.push({ path, message: `${key.keyId} is a key of another account already.` })
      else if (there.spec !== key.spec || there.usage !== key.usage)
        problems.push({ path, message: `${key.keyId} is a key of ${there.spec} for ${there.usage} already.` })
      else if (there.state === 'Deleting' || there.state === 'Deleted')
        problems.push({
          path,
          message: `${key.keyId} was destroyed, and an id never comes back; choose another.`,
        })
    }
    if (problems.length > 0) throw new ConfigError('the seed', problems)
  }

  /** Begins to make what is missing, and tries again until it has. */
  start(): void {
    if (!this.#isDone) this.#run ??= this.#tryUntilDone()
  }

  /** The key in hand is finished, no more. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#run
  }

  /** Nothing when everything is there. Looks by itself where another process makes it. */
  async health(): Promise<ComponentHealth | undefined> {
    if (!this.#isDone && !this.#run && (await this.#isAllThere())) this.#finish()
    if (this.#isDone) return undefined
    return { ok: false, reason: this.#trouble ?? 'The keys of the seed are not all there yet.' }
  }

  async #isAllThere(): Promise<boolean> {
    const { store } = this.#deps
    for (const { region, keyId, accountId, aliases } of this.#keys) {
      const key = await store.getKey(region, keyId)
      if (!key || !isVisible(key.state)) return false
      for (const name of aliases) if (!(await store.getAlias(accountId, region, name))) return false
    }
    return true
  }

  #finish(): void {
    this.#isDone = true
    this.#done.resolve()
  }

  async #tryUntilDone(): Promise<void> {
    const { signal } = this.#stop
    const left = [...this.#keys]
    let made = 0
    for (let delayMs = RETRY_MS_MIN; !signal.aborted; delayMs = Math.min(2 * delayMs, RETRY_MS_MAX)) {
      try {
        for (let key = left[0]; key && !signal.aborted; key = left[0]) {
          if (await this.#ensure(key)) made += 1
          left.shift()
          delayMs = RETRY_MS_MIN
        }
        if (signal.aborted) return
        this.#deps.log.info({ keys: this.#keys.length, made }, 'the keys of the seed are there')
        this.#finish()
        return
      } catch (error) {
        const at = left[0]
        this.#trouble = `The key ${at?.keyId} of the seed (${at?.path}) could not be made: ${reasonOf(error)}`
        this.#deps.log.warn(
          { keyId: at?.keyId, err: error },
          'could not make a key of the seed; trying again',
        )
        await sleep(delayMs, undefined, { signal, ref: false }).catch(() => undefined)
      }
    }
  }

  /** @returns Whether the key was made. */
  async #ensure(asked: SeedKey): Promise<boolean> {
    const { kms, log } = this.#deps
    const { accountId, region, keyId, description, spec, usage, tags, policy } = asked
    // Whoever can write the seed can write the store: nobody is locked out who was not meant to be.
    const multiRegion = keyId.startsWith(MULTI_REGION_ID_PREFIX)
    const kind = { multiRegion, spec, usage, waitMs: CALL_TIMEOUT_MS }
    const own = policy !== undefined && {
      policy: { language: 'AWS', policy, bypassLockoutCheck: true } as const,
    }
    const attached = { tags, ...own }
    const principal = { accountId, accessKeyId: SEED_CALLER, region }
    const context = (): CallContext => ({
      principal,
      deadlineAt: Date.now() + CALL_TIMEOUT_MS,
      trail: newTrail(),
    })
    const { key, made } = await kms.ensureKey(context(), { keyId, description, ...kind, ...attached })
    if (key.description !== description || key.state !== 'Enabled') {
      const fields = { keyId, state: key.state, description: key.description }
      log.warn(fields, 'a key of the seed is there already and is otherwise than asked; it stays as it is')
    }
    for (const name of asked.aliases) {
      const holder = await kms.ensureAlias(context(), name, keyId)
      const fields = { alias: name, keyId: holder, asked: keyId }
      if (holder !== keyId)
        log.warn(fields, 'an alias of the seed is of another key, or its key takes none; it stays as it is')
    }
    return made
  }
}

function reasonOf(error: unknown): string {
  return error instanceof KmsError ? error.message : 'internal error; see the log.'
}
