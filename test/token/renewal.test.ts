import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import type { Pkcs11TokenSettings } from '../../src/providers/pkcs11/settings.ts'
import {
  describeWith,
  eventually,
  freshRef,
  LogRecorder,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  USER_PIN,
  within,
} from '../support/softhsm.ts'

const AAD = Buffer.from('aad')
/** Lanes tell of session objects 256 at a time. */
const OBJECTS_MAX = 600

/** SoftHSM keeps memory of every session object until C_Finalize. */
describeWith([SOFTHSM_MODULE], 'a library that keeps memory of session objects', () => {
  let softHsm: SoftHsm
  let running: Pkcs11Provider[] = []
  let log: LogRecorder

  const start = async (name: string, overrides: Partial<Pkcs11TokenSettings> = {}) => {
    const settings = settingsFor(name, { lanes: { crypto: 2 }, sessionObjectsMax: OBJECTS_MAX, ...overrides })
    const provider = await startProvider({ ...settings, name }, log)
    running.push(provider)
    return provider
  }
  const renewals = (provider: Pkcs11Provider) => provider.status().reconnects['renewal'] ?? 0

  /** Makes data keys inside and opens each twice, `concurrency` at a time, until `done`. @returns How many. */
  const work = async (
    provider: Pkcs11Provider,
    ref: MasterKeyRef,
    concurrency: number,
    done: () => boolean,
  ) => {
    let served = 0
    const pump = async () => {
      while (!done()) {
        const sealed = await provider.sealRandomInside(ref, 32, () => AAD, within())
        const opened = await provider.open(ref, sealed.mode, sealed, AAD, within())
        expect(await provider.open(ref, sealed.mode, sealed, AAD, within())).toEqual(opened)
        served += 1
      }
    }
    await Promise.all(Array.from({ length: concurrency }, pump))
    return served
  }

  beforeEach(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('one')
    softHsm.initToken('two')
    log = new LogRecorder()
  })

  afterEach(async () => {
    await Promise.all(running.map((provider) => provider.close()))
    running = []
    softHsm.remove()
  })

  it('is initialized anew now and then, while every call is served and none waits long', async () => {
    const one = await start('one')
    const ref = { ...freshRef(), token: 'one' }
    await one.createMasterKey(ref, within())
    let longestMs = 0
    const done = () => renewals(one) >= 3
    const watch = (async () => {
      while (!done()) {
        const began = performance.now()
        await one.sealRandom(ref, 32, AAD, within())
        longestMs = Math.max(longestMs, performance.now() - began)
        expect(one.status().state).toBe('up')
      }
    })()
    const served = await work(one, ref, 8, done)
    await watch
    expect(served).toBeGreaterThanOrEqual(OBJECTS_MAX)
    expect(longestMs).toBeLessThan(2_000)
    expect(one.status()).toMatchObject({ generation: renewals(one) + 1, logins: renewals(one) + 1 })
    expect(one.status().reconnects).toEqual({ renewal: renewals(one) })
    expect(log.lines.some((line) => line.includes('library initialized anew'))).toBe(true)
    expect(log.lines.some((line) => line.includes('token connection lost'))).toBe(false)
  })

  it('is left alone without a bound', async () => {
    const one = await start('one', { sessionObjectsMax: Number.POSITIVE_INFINITY })
    const ref = { ...freshRef(), token: 'one' }
    await one.createMasterKey(ref, within())
    let rounds = 0
    await work(one, ref, 4, () => (rounds += 1) > 2 * OBJECTS_MAX)
    expect(one.status()).toMatchObject({ generation: 1, reconnects: {} })
  })

  it('is initialized anew for all of its tokens, while calls on each are served', async () => {
    const [one, two] = [await start('one'), await start('two')]
    const [busy, other] = [
      { ...freshRef(), token: 'one' },
      { ...freshRef(), token: 'two' },
    ]
    await one.createMasterKey(busy, within())
    await two.createMasterKey(other, within())
    const done = () => renewals(one) >= 2
    const beside = (async () => {
      let served = 0
      for (; !done(); served += 1) {
        const sealed = await two.sealRandom(other, 32, AAD, within())
        expect(await two.open(other, 'W0', sealed, AAD, within())).toEqual(sealed.plaintext)
      }
      return served
    })()
    expect(await work(one, busy, 4, done)).toBeGreaterThan(100)
    expect(await beside).toBeGreaterThan(10)
    await eventually(() => two.status().state === 'up')
    expect(two.status().reconnects).toEqual({ module: two.status().generation - 1 })
    expect(two.status().generation).toBeGreaterThan(1)
  })

  it('is not initialized anew while a key pair is made', async () => {
    const one = await start('one')
    const ref = { ...freshRef(), token: 'one' }
    await one.createMasterKey(ref, within())
    let during: number | undefined
    const request = { spec: 'RSA_4096', readable: false } as const
    const pair = one
      .sealKeyPair(ref, request, () => AAD, within(90_000))
      .finally(() => {
        during = renewals(one)
      })
    // Its lane has it.
    await delay(20)
    await work(one, ref, 2, () => during !== undefined)
    expect((await pair).mode).toBe('W2')
    expect(during).toBe(0)
    await work(one, ref, 4, () => renewals(one) > 0)
  })

  it('is no trouble for longer than the token is: calls are refused as retryable when it does not come back, until it does', async () => {
    let fails = false
    const readPin = async () => {
      if (fails) throw new Error('the PIN cannot be read')
      return Buffer.from(USER_PIN)
    }
    const one = await start('one', { readPin })
    const ref = { ...freshRef(), token: 'one' }
    await one.createMasterKey(ref, within())
    fails = true
    await expect(work(one, ref, 4, () => false)).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    await eventually(() => one.status().state === 'connecting')
    expect(one.status().reason).toContain('the PIN cannot be read')
    fails = false
    await eventually(() => one.status().state === 'up')
    await one.sealRandomInside(ref, 32, () => AAD, within())
  })
})
