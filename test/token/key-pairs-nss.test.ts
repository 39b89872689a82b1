import { createPrivateKey, createPublicKey } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { present } from '../../src/core/envelope/present.ts'
import type { MasterKeyRef, SealMode } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { makeNss, NSS_MODULE, type Nss } from '../support/nss.ts'
import { describeWith, freshRef, startProvider, within } from '../support/softhsm.ts'

const aadFor = (mode: SealMode) => Buffer.from(`aad of ${mode}`)

// NSS writes the public key into its PKCS#8, and unwraps no secret as long as an RSA key.
describeWith([NSS_MODULE], 'key pairs on NSS', () => {
  let nss: Nss | undefined
  let provider: Pkcs11Provider
  let ref: MasterKeyRef

  beforeAll(async () => {
    nss = makeNss()
    provider = await startProvider(nss.settings())
    ref = freshRef()
    await provider.createMasterKey(ref, within())
  })
  afterAll(async () => {
    await provider?.close()
    nss?.remove()
  })

  it.each(['RSA_2048', 'RSA_4096', 'EC_P256', 'EC_P384', 'EC_P521'] as const)(
    'of spec %s are sealed inside and with their private key, and have the one form',
    async (spec) => {
      for (const readable of [true, false]) {
        const sealed = await provider.sealKeyPair(ref, { spec, readable }, aadFor, within(90_000))
        expect(sealed.mode).toBe(readable ? 'W0' : 'W2')
        const opened = await provider.open(ref, sealed.mode, sealed, aadFor(sealed.mode), within())
        const der = present('pkcs8-der', opened)
        if (sealed.privateKey) expect(der).toEqual(sealed.privateKey)
        const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
        expect(privateKey.export({ type: 'pkcs8', format: 'der' })).toEqual(der)
        expect(createPublicKey(privateKey).export({ type: 'spki', format: 'der' })).toEqual(sealed.publicKey)
      }
    },
    60_000,
  )

  it('of secp256k1, which NSS does not have, are refused by its mechanism, and the switch is not named', async () => {
    for (const readable of [true, false]) {
      const making = provider.sealKeyPair(ref, { spec: 'EC_SECP256K1', readable }, aadFor, within(90_000))
      const error = await making.catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'UNSUPPORTED' })
      const { cause } = error as { cause: { message: string; hint: string } }
      expect(cause.message).toContain('EC_SECP256K1: with CKM_EC_KEY_PAIR_GEN')
      expect(cause.hint).not.toContain('allowHostMemory')
    }
  })
})
