import { expect, it } from 'vitest'
import type { Pkcs11TokenSettings } from '../../src/providers/pkcs11/settings.ts'
import { cryptoProviderContract } from '../support/crypto-provider-contract.ts'
import { makeNss, NSS_MODULE } from '../support/nss.ts'
import { describeWith, freshRef, LogRecorder, startProvider, within } from '../support/softhsm.ts'

const AAD = Buffer.from('aad')

async function openNss(overrides: Partial<Pkcs11TokenSettings> = {}, log = new LogRecorder()) {
  const nss = makeNss()
  const provider = await startProvider(nss.settings(overrides), log)
  const close = async () => {
    await provider.close()
    nss.remove()
  }
  return { provider, token: 'main', close }
}

describeWith([NSS_MODULE], 'NSS', () => {
  cryptoProviderContract(openNss, {
    insideBytesMax: 256,
    unable: ['ECC_SECG_P256K1', 'ECC_NIST_EDWARDS25519', 'ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87'],
  })
})

describeWith([NSS_MODULE], 'NSS, with keys in host memory allowed', () => {
  it('takes host memory for the data keys alone that the token cannot make, and says so each time', async () => {
    const log = new LogRecorder()
    const { provider, close } = await openNss({ allowHostMemory: true }, log)
    try {
      const warnings = log.lines.filter((line) => JSON.parse(line).level === 'warn')
      expect(warnings).toEqual([
        expect.stringMatching(/of other than 1 to 256 bytes pass through host memory/),
      ])
      expect(provider.status()).toMatchObject({ insideSealMode: 'W2' })
      const ref = freshRef()
      await provider.createMasterKey(ref, within())
      const inside = await provider.sealRandomInside(ref, 256, () => AAD, within())
      expect([inside.mode, inside.hostMemory]).toEqual(['W2', undefined])
      const outside = await provider.sealRandomInside(ref, 257, () => AAD, within())
      expect([outside.mode, outside.hostMemory]).toEqual(['W0', true])
      expect(await provider.open(ref, 'W0', outside, AAD, within())).toHaveLength(257)
    } finally {
      await close()
    }
  })
})
