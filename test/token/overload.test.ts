import { execFileSync } from 'node:child_process'
import { closeSync, createReadStream, openSync, type ReadStream } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { CallOptions } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import {
  describeWith,
  eventually,
  freshRef,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  SPY_MODULE,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

const AAD = Buffer.from('aad')

describeWith([SOFTHSM_MODULE], 'more calls than a token can serve', () => {
  let softHsm: SoftHsm
  let provider: Pkcs11Provider | undefined

  beforeEach(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('busy')
  })

  afterEach(async () => {
    await provider?.close()
    provider = undefined
    softHsm.remove()
  })

  it('are refused at once where the queue is full, and those in the queue are served', async () => {
    const running = await startProvider(settingsFor('busy', { queueMax: 4 }))
    provider = running
    const ref = freshRef()
    await running.createMasterKey(ref, within())
    await running.sealRandom(ref, 32, AAD, within())
    const calls = Array.from({ length: 100 }, () => running.sealRandom(ref, 32, AAD, within()))
    const outcomes = await Promise.allSettled(calls)
    // Four wait in the queue, and two messages of four are on their way to the lane.
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(4 + 2 * 4)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'TOKEN_TIMEOUT' })
    }
    expect(running.status().queueDepth).toBe(0)
  })

  it('end at their deadline, wherever they are, while those with time left are served', async () => {
    const running = await startProvider(settingsFor('busy'))
    provider = running
    const ref = freshRef()
    await running.createMasterKey(ref, within())
    await running.sealRandom(ref, 32, AAD, within())
    const callWith = (options: CallOptions) => running.sealRandomInside(ref, 1024, () => AAD, options)
    // As long as a tenth of the calls take, so that most are late on any machine.
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: 90 }, () => callWith(within())))
    const hasty = within(performance.now() - startedAt)
    const patient = within(25_000)
    const calls = Array.from({ length: 900 }, (_, index) => callWith(index % 2 === 0 ? patient : hasty))
    const outcomes = await Promise.allSettled(calls)
    expect(outcomes.filter((_, index) => index % 2 === 0).every(({ status }) => status === 'fulfilled')).toBe(
      true,
    )
    const late = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(late.length).toBeGreaterThan(0)
    for (const { reason } of late) expect(reason).toMatchObject({ code: 'TOKEN_TIMEOUT' })
    expect(running.status()).toMatchObject({ state: 'up', lanesLost: 0, queueDepth: 0 })
  })
})

describeWith([SOFTHSM_MODULE, SPY_MODULE], 'a library that hangs', () => {
  let softHsm: SoftHsm
  let pipe: HangingPipe

  beforeEach(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('hung')
    pipe = new HangingPipe(join(softHsm.directory, 'trace'))
    process.env['PKCS11SPY'] = SOFTHSM_MODULE
    process.env['PKCS11SPY_OUTPUT'] = pipe.path
  })

  afterEach(() => {
    pipe.close()
    softHsm.remove()
  })

  it('loses its lane, whose callers get an answer, and past the bound of lost lanes asks for a new process', async () => {
    const fatal: Error[] = []
    const settings = settingsFor('hung', { module: SPY_MODULE, laneTimeoutMs: 2_000, lostLanesMax: 0 })
    const provider = await startProvider(settings, undefined, (error) => fatal.push(error))
    expect(provider.status()).toMatchObject({ state: 'up' })
    const ref = freshRef()
    await provider.createMasterKey(ref, within())
    await provider.sealRandom(ref, 32, AAD, within())
    pipe.hang()
    const calls = Array.from({ length: 400 }, () => provider.sealRandom(ref, 32, AAD, within(5_000)))
    const outcomes = await Promise.allSettled(calls)
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    const codes = new Set(refused.map(({ reason }) => (reason as { code: string }).code))
    // Those that the lane had were not answered in time; those that waited have no lane left.
    expect([...codes].toSorted()).toEqual(['TOKEN_TIMEOUT', 'TOKEN_UNAVAILABLE'])
    expect(provider.status()).toMatchObject({ lanesLost: 1, lanesHung: 1 })
    expect(fatal).toHaveLength(1)
    pipe.flow()
    await eventually(() => provider.status().queueDepth === 0 && provider.status().lanesHung === 0)
    await provider.close()
  })

  it('counts, against the bound, lanes that hang at the same time', async () => {
    const fatal: Error[] = []
    const settings = settingsFor('hung', { module: SPY_MODULE, laneTimeoutMs: 2_000, lostLanesMax: 1 })
    const provider = await startProvider(settings, undefined, (error) => fatal.push(error))
    const ref = freshRef()
    await provider.createMasterKey(ref, within())
    for (const lanesLost of [1, 2, 3]) {
      await eventually(() =>
        provider.sealRandom(ref, 32, AAD, within()).then(
          () => true,
          () => false,
        ),
      )
      pipe.hang()
      const calls = Array.from({ length: 400 }, () => provider.sealRandom(ref, 32, AAD, within(3_000)))
      const ended = Promise.allSettled(calls)
      await eventually(() => provider.status().lanesHung === 1)
      expect(provider.status()).toMatchObject({ lanesLost, lanesHung: 1 })
      pipe.flow()
      await ended
      await eventually(() => provider.status().lanesHung === 0)
    }
    expect(fatal).toEqual([])
    await provider.close()
  })

  it('keeps no caller past its deadline, long before its lane is given up', async () => {
    const settings = settingsFor('hung', { module: SPY_MODULE, laneTimeoutMs: 25_000 })
    const provider = await startProvider(settings)
    const ref = freshRef()
    await provider.createMasterKey(ref, within())
    await provider.sealRandom(ref, 32, AAD, within())
    pipe.hang()
    const startedAt = performance.now()
    const calls = Array.from({ length: 400 }, () => provider.sealRandom(ref, 32, AAD, within(1_000)))
    const outcomes = await Promise.allSettled(calls)
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    const late = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(late.length).toBeGreaterThan(0)
    for (const { reason } of late) expect(reason).toMatchObject({ code: 'TOKEN_TIMEOUT' })
    // A look-up counts as a part of its call.
    const cold = provider.sealRandom(freshRef(), 32, AAD, within(200))
    await expect(cold).rejects.toMatchObject({ code: 'TOKEN_TIMEOUT' })
    expect(provider.status()).toMatchObject({ state: 'up', lanesLost: 0, lanesHung: 0 })
    pipe.flow()
    await eventually(() => provider.status().queueDepth === 0)
    await provider.close()
  })
})

/** The trace of pkcs11-spy as a pipe: nobody reading it makes the library hang in its next call. */
class HangingPipe {
  readonly path: string
  readonly #keeper: number
  readonly #reader: ReadStream

  constructor(path: string) {
    execFileSync('mkfifo', [path])
    this.path = path
    // Both ends open, so that neither side ever waits for the other to open it.
    this.#keeper = openSync(path, 'r+')
    this.#reader = createReadStream(path)
    this.#reader.resume()
  }

  hang(): void {
    this.#reader.pause()
  }

  flow(): void {
    this.#reader.resume()
  }

  close(): void {
    this.#reader.destroy()
    closeSync(this.#keeper)
  }
}
