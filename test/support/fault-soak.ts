import { setTimeout as delay } from 'node:timers/promises'
import { isKmsError, KmsError } from '../../src/core/errors.ts'
import type { MasterKeyRef, Sealed, SealMode } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { eventually, freshRef, within } from './softhsm.ts'

/** Keys in use at a time, and ciphertexts kept of each. */
const KEYS_MAX = 12
const CIPHERTEXTS_MAX = 24
const CALL_MS = 20_000
const WRONG_MAX = 100
/** What a caller waits after a call that may be tried again. */
const RETRY_PAUSE_MS = 10

/** What was sealed under a key. `plaintext` is known from the first opening on where it was made in the token. */
interface Ciphertext {
  readonly mode: SealMode
  readonly sealed: Sealed
  readonly aad: Buffer
  readonly lengthBytes: number
  plaintext?: Buffer
}

interface SoakKey {
  readonly ref: MasterKeyRef
  readonly ciphertexts: Ciphertext[]
}

export interface SoakReport {
  /** Calls that gave what they should. */
  answered: number
  /** Calls that failed in a way that a caller may try again. */
  retryable: number
  /** Calls that were refused with right: forgeries, and keys that a failed creation left. */
  refused: number
  /** What must never be, with what it was about. */
  readonly wrong: string[]
}

/**
 * Calls of every kind on one provider, at random, each of which is checked: an opening gives exactly the bytes that were
 * sealed, a forgery none, and a failure is one that the token's faults account for.
 */
export class FaultSoak {
  readonly report: SoakReport = { answered: 0, retryable: 0, refused: 0, wrong: [] }
  readonly #provider: Pkcs11Provider
  readonly #keys: SoakKey[] = []
  /** Versions that were destroyed, or whose creation failed: none of them may be of use again. */
  readonly #gone: MasterKeyRef[] = []

  constructor(provider: Pkcs11Provider) {
    this.#provider = provider
  }

  /** Makes `operations` calls, `concurrency` at a time, waiting while the token is down. */
  async run(operations: number, concurrency: number): Promise<void> {
    let left = operations
    const work = async (): Promise<void> => {
      while (left > 0) {
        left -= 1
        const { retryable } = this.report
        await this.#callOne()
        // As a client would: calls that are refused at once would use the soak up while a lane waits for a session.
        if (this.report.retryable > retryable) await delay(RETRY_PAUSE_MS)
        if (this.#provider.status().state !== 'up') await this.#up()
      }
    }
    await Promise.all(Array.from({ length: concurrency }, work))
  }

  /** To be called when the faults have stopped: everything works, and nothing that was sealed is lost. */
  async verify(): Promise<void> {
    await this.#up()
    await this.#provider.checkHealth('main', undefined, within(CALL_MS))
    for (const key of this.#keys) {
      for (const ciphertext of key.ciphertexts) await this.#checkOpens(key, ciphertext)
      await this.#provider.sealRandomInside(key.ref, 32, () => AAD, within(CALL_MS))
    }
    for (const ref of this.#gone) {
      await this.#provider.destroyMasterKey(ref, within(CALL_MS))
      const presence = await this.#provider.findMasterKey(ref, within(CALL_MS))
      if (presence !== 'absent') this.#wrong(`a destroyed key is ${presence}`)
    }
  }

  async #up(): Promise<void> {
    await eventually(() => this.#provider.status().state === 'up', 60_000)
  }

  async #callOne(): Promise<void> {
    const draw = Math.random()
    const key = pick(this.#keys)
    if (!key || (draw < 0.02 && this.#keys.length < KEYS_MAX)) await this.#create()
    else if (draw < 0.03) await this.#destroy(key)
    else if (draw < 0.04) await this.#find(key)
    else if (draw < 0.25) await this.#sealRandom(key)
    else if (draw < 0.4) await this.#seal(key)
    else if (draw < 0.55) await this.#sealInside(key)
    else if (draw < 0.6) await this.#openForged(key)
    else await this.#open(key)
  }

  /** @returns What `call` gave, or `undefined` after a failure that is accounted for. */
  async #checked<T>(what: string, call: () => Promise<T>, allowed: string[] = []): Promise<T | undefined> {
    try {
      const result = await call()
      this.report.answered += 1
      return result
    } catch (error) {
      if (isKmsError(error, 'TOKEN_UNAVAILABLE') || isKmsError(error, 'TOKEN_TIMEOUT'))
        this.report.retryable += 1
      else if (error instanceof KmsError && allowed.includes(error.code)) this.report.refused += 1
      else this.#wrong(`${what} failed with ${describe(error)}`)
      return undefined
    }
  }

  #wrong(what: string): void {
    if (this.report.wrong.length < WRONG_MAX && !this.report.wrong.includes(what))
      this.report.wrong.push(what)
  }

  /** A creation that fails half-way may find what it left: `ALREADY_EXISTS`. */
  async #create(): Promise<void> {
    const ref = freshRef()
    const create = async () => {
      await this.#provider.createMasterKey(ref, within(CALL_MS))
      return true
    }
    if (await this.#checked('createMasterKey', create, ['ALREADY_EXISTS']))
      this.#keys.push({ ref, ciphertexts: [] })
    else this.#gone.push(ref)
  }

  /** Other calls on the key may be under way, and fail: to them it is not there. */
  async #destroy(key: SoakKey): Promise<void> {
    if (this.#keys.length < 2) return
    this.#keys.splice(this.#keys.indexOf(key), 1)
    this.#gone.push(key.ref)
    await this.#checked('destroyMasterKey', () => this.#provider.destroyMasterKey(key.ref, within(CALL_MS)))
  }

  async #find({ ref }: SoakKey): Promise<void> {
    const presence = await this.#checked('findMasterKey', () =>
      this.#provider.findMasterKey(ref, within(CALL_MS)),
    )
    if (presence === undefined || presence === 'present' || this.#isGone(ref)) return
    this.#wrong(`findMasterKey says ${presence} of a key in use`)
  }

  async #sealRandom(key: SoakKey): Promise<void> {
    const lengthBytes = 1 + Math.floor(Math.random() * 64)
    const aad = crypto.getRandomValues(Buffer.alloc(8))
    const made = await this.#checked('sealRandom', () =>
      this.#provider.sealRandom(key.ref, lengthBytes, aad, within(CALL_MS)),
    )
    if (!made) return
    const { plaintext, ...sealed } = made
    keep(key, { mode: 'W0', sealed, aad, lengthBytes, plaintext })
  }

  async #seal(key: SoakKey): Promise<void> {
    const plaintext = crypto.getRandomValues(Buffer.alloc(1 + Math.floor(Math.random() * 256)))
    const aad = crypto.getRandomValues(Buffer.alloc(8))
    const sealed = await this.#checked('seal', () =>
      this.#provider.seal(key.ref, plaintext, aad, within(CALL_MS)),
    )
    if (sealed) keep(key, { mode: 'W0', sealed, aad, lengthBytes: plaintext.length, plaintext })
  }

  async #sealInside(key: SoakKey): Promise<void> {
    const lengthBytes = pick([16, 24, 32, 48, 64]) ?? 32
    const aad = crypto.getRandomValues(Buffer.alloc(8))
    const made = await this.#checked('sealRandomInside', () =>
      this.#provider.sealRandomInside(key.ref, lengthBytes, () => aad, within(CALL_MS)),
    )
    if (made) keep(key, { mode: made.mode, sealed: made, aad, lengthBytes })
  }

  async #open(key: SoakKey): Promise<void> {
    const ciphertext = pick(key.ciphertexts)
    if (!ciphertext) return
    const { mode, sealed, aad } = ciphertext
    const opened = await this.#checked(`open of a good ${mode}`, () =>
      this.#provider.open(key.ref, mode, sealed, aad, within(CALL_MS)),
    )
    if (opened) this.#compare(ciphertext, opened)
  }

  async #checkOpens(key: SoakKey, ciphertext: Ciphertext): Promise<void> {
    const { mode, sealed, aad } = ciphertext
    this.#compare(ciphertext, await this.#provider.open(key.ref, mode, sealed, aad, within(CALL_MS)))
  }

  #compare(ciphertext: Ciphertext, opened: Buffer): void {
    const { mode, lengthBytes } = ciphertext
    if (opened.length !== lengthBytes)
      this.#wrong(`${mode} opened to ${opened.length} of ${lengthBytes} bytes`)
    else if (!(ciphertext.plaintext ?? opened).equals(opened)) this.#wrong(`${mode} opened to other bytes`)
    else if (opened.length >= 16 && opened.every((byte) => byte === 0)) this.#wrong(`${mode} opened to zeros`)
    ciphertext.plaintext ??= opened
  }

  async #openForged(key: SoakKey): Promise<void> {
    const ciphertext = pick(key.ciphertexts)
    if (!ciphertext) return
    const { mode, sealed, aad } = ciphertext
    const forged = { ...sealed, tag: Buffer.from(sealed.tag) }
    forged.tag[0] = (forged.tag[0] ?? 0) ^ 1
    const open = () => this.#provider.open(key.ref, mode, forged, aad, within(CALL_MS))
    if (await this.#checked('open of a forgery', open, ['CIPHERTEXT_INVALID']))
      this.#wrong('a forgery opened')
  }

  #isGone(ref: MasterKeyRef): boolean {
    return this.#gone.includes(ref)
  }
}

const AAD = Buffer.from('fault soak')

function keep(key: SoakKey, ciphertext: Ciphertext): void {
  key.ciphertexts.push(ciphertext)
  if (key.ciphertexts.length > CIPHERTEXTS_MAX) key.ciphertexts.shift()
}

function pick<T>(list: readonly T[]): T | undefined {
  return list[Math.floor(Math.random() * list.length)]
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error instanceof KmsError ? error.code : error.name}, ${error.message}${cause}`
}
