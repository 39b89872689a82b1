import { describe } from 'vitest'
import {
  type ImportKindTraits,
  importKindsContract,
} from '../support/crypto-provider-contract-import-kinds.ts'
import { NSS_MODULE } from '../support/nss.ts'
import { describeWith, SOFTHSM_MODULE } from '../support/softhsm.ts'
import { SoftwareProvider } from '../support/software-provider.ts'
import { openNss, openSoftHsm } from '../support/tokens-for-imports.ts'

describe('the software double', () => {
  importKindsContract(
    async () => ({ provider: new SoftwareProvider(), token: 'main', close: async () => {} }),
    {},
  )
})

// SoftHSM unwraps no Ed25519 key, and tells 28 bytes from none of 29 to 31.
describeWith([SOFTHSM_MODULE], 'SoftHSM', () => {
  importKindsContract(openSoftHsm, { HMAC_224: 'none', ECC_NIST_EDWARDS25519: 'none' })
})

describeWith([SOFTHSM_MODULE], 'SoftHSM, with keys in host memory allowed', () => {
  importKindsContract(() => openSoftHsm({ allowHostMemory: true }), {
    HMAC_224: 'host',
    ECC_NIST_EDWARDS25519: 'host',
  })
})

const ON_NSS = (all: 'none' | 'host'): ImportKindTraits => ({
  RSA_2048: all,
  RSA_3072: all,
  RSA_4096: all,
  ECC_NIST_P256: all,
  ECC_NIST_P384: all,
  ECC_NIST_P521: all,
  ECC_SECG_P256K1: 'none',
  ECC_NIST_EDWARDS25519: 'none',
})

// NSS unwraps no EC key without its public value, and lets an RSA key that it unwrapped decrypt.
describeWith([NSS_MODULE], 'NSS', () => {
  importKindsContract(openNss, ON_NSS('none'))
})

describeWith([NSS_MODULE], 'NSS, with keys in host memory allowed', () => {
  importKindsContract(() => openNss({ allowHostMemory: true }), ON_NSS('host'))
})
