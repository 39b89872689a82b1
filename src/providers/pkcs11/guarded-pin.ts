import { createHmac, randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { TokenRefusal } from './errors.ts'

/** How often the source of a refused PIN is looked at. Milliseconds. */
const LOOK_INTERVAL_MS = 1_000
/** PINs that are tried in a row without one that is right: the tightest tokens lock at the third. */
const PINS_TRIED_MAX = 2

/**
 * The PIN on its way to C_Login. One that a token refused is never given out again, so no way of reconnecting can lock the
 * token; a corrected PIN source makes one more try. What is remembered of a PIN is a keyed digest with a key of this
 * object's own.
 */
export class GuardedPin {
  readonly #read: () => Promise<Buffer>
  readonly #mayTry: (pin: Buffer) => Promise<boolean>
  readonly #lookIntervalMs: number
  readonly #key = randomBytes(32)
  readonly #refused = new Set<string>()
  #taken = ''

  /** @param mayTry - Asked before a PIN is given out: false when the token refused it to another process. */
  constructor(
    read: () => Promise<Buffer>,
    lookIntervalMs = LOOK_INTERVAL_MS,
    mayTry: (pin: Buffer) => Promise<boolean> = async () => true,
  ) {
    this.#read = read
    this.#mayTry = mayTry
    this.#lookIntervalMs = lookIntervalMs
  }

  /**
   * The PIN for one attempt to connect; the caller zeroes it.
   *
   * @throws {@link TokenRefusal} for an operator when the token refused it before; what reading the source threw.
   */
  async take(): Promise<Buffer> {
    const pin = await this.#read()
    this.#taken = this.#digestOf(pin)
    if (!this.#refused.has(this.#taken) && (await this.#hasTurn(pin))) return pin
    pin.fill(0)
    throw new TokenRefusal({
      code: 'TOKEN_UNAVAILABLE',
      reason: 'The token refused this PIN before, so it is not tried again.',
      hint: 'Correct the PIN source, or start the process anew.',
      operator: true,
    })
  }

  async #hasTurn(pin: Buffer): Promise<boolean> {
    try {
      return await this.#mayTry(pin)
    } catch (error) {
      pin.fill(0)
      throw error
    }
  }

  /** The attempt with the PIN that was taken last ended so that nothing may be tried with it again. */
  refuse(): void {
    this.#refused.add(this.#taken)
  }

  /** The PIN that was taken last is right. */
  accept(): void {
    this.#refused.clear()
  }

  /**
   * Waits until the source holds a PIN that may be tried: one that was not refused, the same at two looks in a row, so
   * that half of one that is being written is not taken for it.
   *
   * @returns False when there will be none: it was aborted, or as many as may be tried were.
   */
  async changed(signal: AbortSignal): Promise<boolean> {
    let seen = ''
    while (this.#refused.size < PINS_TRIED_MAX) {
      await delay(this.#lookIntervalMs, undefined, { signal, ref: false }).catch(() => undefined)
      if (signal.aborted) return false
      const found = await this.#look()
      if (found !== '' && found === seen && !this.#refused.has(found)) return true
      seen = found
    }
    return false
  }

  /** Empty when the source cannot be read right now. */
  async #look(): Promise<string> {
    try {
      const pin = await this.#read()
      const digest = this.#digestOf(pin)
      pin.fill(0)
      return digest
    } catch {
      return ''
    }
  }

  #digestOf(pin: Buffer): string {
    return createHmac('sha256', this.#key).update(pin).digest('hex')
  }
}
