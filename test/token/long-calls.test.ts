import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import {
  describeWith,
  eventually,
  freshRef,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

/** Longer than a lane may be silent otherwise. */
const LANE_TIMEOUT_MS = 1_000
const SLOW = '2500ms'
const LONG_MS = 90_000

describeWith([SOFTHSM_MODULE], 'calls that take a token long', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let provider: Pkcs11Provider | undefined

  const start = async () => {
    provider = await startProvider(
      settingsFor('slow', { module: chaos.module, laneTimeoutMs: LANE_TIMEOUT_MS, reconnectDelayMs: 50 }),
    )
    return provider
  }

  beforeEach(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('slow')
    chaos = makeChaos(softHsm)
  })
  afterEach(async () => {
    chaos.clear()
    await eventually(() => provider?.status().lanesHung === 0)
    await provider?.close()
    softHsm.remove()
  })

  it('lose no lane where they make a key pair', async () => {
    const running = await start()
    chaos.set(`latency C_GenerateKeyPair ${SLOW}`)
    const ref = { ...freshRef(), spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' } as const
    const { publicKey } = await running.createMasterKey(ref, within(LONG_MS))
    expect(publicKey).not.toHaveLength(0)
    const material = { spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT' } as const
    const wrapping = { algorithm: 'RSAES_OAEP_SHA_1', spec: 'RSA_2048', material } as const
    const pair = { token: 'main', pairId: randomUUID() }
    expect((await running.createImportPair(pair, wrapping, within(LONG_MS))).publicKey).not.toHaveLength(0)
    expect(running.status()).toMatchObject({ state: 'up', lanesLost: 0 })
  }, 30_000)

  it('lose no lane where they connect', async () => {
    chaos.set(`latency C_Login ${SLOW}`)
    const running = await start()
    expect(running.status()).toMatchObject({ state: 'up', lanesLost: 0, logins: 1 })
  }, 30_000)

  it('lose theirs where they should not take long', async () => {
    const running = await start()
    chaos.set(`latency C_GenerateKey ${SLOW} times=1`)
    await expect(running.createMasterKey(freshRef(), within(LONG_MS))).rejects.toMatchObject({
      code: 'TOKEN_TIMEOUT',
    })
    expect(running.status().lanesLost).toBe(1)
  }, 30_000)
})
