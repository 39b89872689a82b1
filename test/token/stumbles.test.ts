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

const AAD = Buffer.from('aad')

describeWith([SOFTHSM_MODULE], 'a token that stumbles', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let provider: Pkcs11Provider | undefined

  const start = async (): Promise<Pkcs11Provider> => {
    provider = await startProvider(settingsFor('stumbling', { module: chaos.module, reconnectDelayMs: 5 }))
    return provider
  }

  beforeEach(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('stumbling')
    chaos = makeChaos(softHsm)
  })

  afterEach(async () => {
    chaos.clear()
    await provider?.close()
    softHsm.remove()
  })

  /** Lets the connection break, so that the token is probed anew, under these rules. */
  const reconnectUnder = async (running: Pkcs11Provider, rule: string): Promise<void> => {
    const { generation } = running.status()
    chaos.set([rule, 'fail C_GenerateRandom CKR_DEVICE_REMOVED times=1'])
    await expect(running.generateRandom('main', 8, within())).rejects.toMatchObject({
      code: 'TOKEN_UNAVAILABLE',
    })
    await eventually(() => running.status().state === 'up' && running.status().generation > generation)
  }

  it('while it is probed is not taken for one that cannot', async () => {
    const running = await start()
    for (const ckr of [
      'CKR_GENERAL_ERROR',
      'CKR_FUNCTION_FAILED',
      'CKR_DEVICE_MEMORY',
      'CKR_SESSION_CLOSED',
    ]) {
      for (const name of ['C_WrapKey', 'C_UnwrapKey', 'C_GetAttributeValue']) {
        for (const after of [0, 3, 9]) {
          await reconnectUnder(running, `fail ${name} ${ckr} times=2 after=${after}`)
          const { capabilities } = running.status()
          expect(capabilities?.insideSealMode, `${name} after ${after}`).toBe('W2')
          expect(capabilities?.insideBytes, `${name} after ${after}`).toEqual({ min: 1, max: 1024 })
        }
      }
    }
  })

  it.each(['CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED', 'CKR_DEVICE_ERROR', '0x80000011'])(
    'twice in an opening with %s does not make a good ciphertext invalid',
    async (ckr) => {
      const running = await start()
      const ref = freshRef()
      await running.createMasterKey(ref, within())
      const { plaintext, ...sealed } = await running.sealRandom(ref, 32, AAD, within())
      for (const times of [1, 2, 3]) {
        chaos.set(`fail C_Decrypt ${ckr} times=${times}`)
        expect(await running.open(ref, 'W0', sealed, AAD, within()), `${times} times`).toEqual(plaintext)
      }
      const forged = { ...sealed, tag: Buffer.alloc(16) }
      const before = running.status()
      await expect(running.open(ref, 'W0', forged, AAD, within())).rejects.toMatchObject({
        code: 'CIPHERTEXT_INVALID',
      })
      expect(running.status()).toMatchObject({ state: 'up', generation: before.generation })
    },
  )

  it('and loses the login does not look like one whose keys are gone', async () => {
    const running = await start()
    const ref = freshRef()
    await running.createMasterKey(ref, within())
    const { plaintext, ...sealed } = await running.sealRandom(ref, 32, AAD, within())
    for (const call of ['findMasterKey', 'destroyMasterKey'] as const) {
      chaos.set('logout-drop')
      await expect(running[call](ref, within())).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
      await eventually(() => running.status().state === 'up')
    }
    chaos.clear()
    expect(await running.findMasterKey(ref, within())).toBe('present')
    expect(await running.open(ref, 'W0', sealed, AAD, within())).toEqual(plaintext)
  })
})
