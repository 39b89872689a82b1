import { randomBytes, randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type ImportTraits, importContract, SYMMETRIC } from '../support/crypto-provider-contract-import.ts'
import { NSS_MODULE } from '../support/nss.ts'
import { describeWith, makeSoftHsm, SOFTHSM_MODULE, settingsFor, startProvider } from '../support/softhsm.ts'
import { SoftwareProvider } from '../support/software-provider.ts'
import { openNss, openSoftHsm } from '../support/tokens-for-imports.ts'
import { wrapMaterial } from '../support/wrap-material.ts'

const INSIDE: ImportTraits = {
  RSAES_OAEP_SHA_1: 'inside',
  RSAES_OAEP_SHA_256: 'inside',
  RSA_AES_KEY_WRAP_SHA_1: 'inside',
  RSA_AES_KEY_WRAP_SHA_256: 'inside',
}

describe('the software double', () => {
  importContract(
    async () => ({ provider: new SoftwareProvider(), token: 'main', close: async () => {} }),
    INSIDE,
  )
})

describeWith([SOFTHSM_MODULE], 'SoftHSM', () => {
  importContract(openSoftHsm, { ...INSIDE, RSAES_OAEP_SHA_256: 'none', RSA_AES_KEY_WRAP_SHA_256: 'none' })
})

describeWith([SOFTHSM_MODULE], 'SoftHSM, with keys in host memory allowed', () => {
  importContract(() => openSoftHsm({ allowHostMemory: true }), {
    ...INSIDE,
    RSAES_OAEP_SHA_256: 'host',
    RSA_AES_KEY_WRAP_SHA_256: 'host',
  })
})

describeWith([SOFTHSM_MODULE], 'SoftHSM, where keys in host memory are allowed no more', () => {
  it('takes no material for a pair that was made while they were', async () => {
    const softHsm = makeSoftHsm()
    softHsm.initToken('import')
    const start = (allowHostMemory: boolean) =>
      startProvider(settingsFor('import', { laneTimeoutMs: 60_000, pairTimeoutMs: 50_000, allowHostMemory }))
    const within = () => ({ deadlineAt: Date.now() + 70_000 })
    const algorithm = 'RSAES_OAEP_SHA_256'
    const pair = { token: 'main', pairId: randomUUID() }
    const allowed = await start(true)
    const { publicKey } = await allowed.createImportPair(
      pair,
      { algorithm, spec: 'RSA_2048', material: SYMMETRIC },
      within(),
    )
    await allowed.close()
    const strict = await start(false)
    try {
      const ref = { token: 'main', keyId: randomUUID(), versionId: randomUUID(), versionNumber: 1 }
      const wrapped = wrapMaterial(algorithm, publicKey, randomBytes(32))
      await expect(strict.importMasterKey(ref, { pair, algorithm, wrapped }, within())).rejects.toMatchObject(
        {
          code: 'UNSUPPORTED',
          message: expect.stringContaining('allowHostMemory'),
        },
      )
      expect(await strict.findMasterKey(ref, within())).toBe('absent')
    } finally {
      await strict.close()
      softHsm.remove()
    }
  })
})

describeWith([NSS_MODULE], 'NSS', () => {
  importContract(openNss, INSIDE)
})
