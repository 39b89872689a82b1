import { afterAll, beforeAll } from 'vitest'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { otherKeysContract } from '../support/crypto-provider-contract-keys.ts'
import { describeNewKeys, NEW_KEYS } from '../support/new-keys.ts'
import { makeChaos } from '../support/p11chaos.ts'
import { makeSoftHsm, type SoftHsm, settingsFor, startProvider } from '../support/softhsm.ts'

describeNewKeys('a token that knows ML-DSA and Ed25519ph', () => {
  let softHsm: SoftHsm
  let provider: Pkcs11Provider

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken('contract')
    const { module } = makeChaos(softHsm, NEW_KEYS)
    provider = await startProvider(settingsFor('contract', { module }))
  })
  afterAll(async () => {
    await provider?.close()
    softHsm?.remove()
  })

  const specs = ['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87', 'ECC_NIST_EDWARDS25519'] as const
  otherKeysContract(() => ({ provider, token: 'main' }), [], specs)
})
