import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { present } from '../../src/core/envelope/present.ts'
import { KEY_PAIR_SPEC_NAMES, KEY_PAIR_SPECS, type KeyPairSpec } from '../../src/core/key-pair-spec.ts'
import type { MasterKeyRef, SealedKeyPair, SealMode } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import {
  describeWith,
  freshRef,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

/** What a call that makes a pair has: the lane's own limit, and more. */
const long = () => within(90_000)
const aadFor = (mode: SealMode) => Buffer.from(`aad of ${mode}`)

describeWith([SOFTHSM_MODULE], 'key pairs on SoftHSM', () => {
  let softHsm: SoftHsm
  let provider: Pkcs11Provider
  let ref: MasterKeyRef

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken('pairs')
    provider = await startProvider(settingsFor('pairs'))
    ref = freshRef()
    await provider.createMasterKey(ref, within())
  })
  afterAll(async () => {
    await provider?.close()
    softHsm?.remove()
  })

  const make = (spec: KeyPairSpec, readable: boolean) =>
    provider.sealKeyPair(ref, { spec, readable }, aadFor, long())
  const open = async (sealed: SealedKeyPair) =>
    present('pkcs8-der', await provider.open(ref, sealed.mode, sealed, aadFor(sealed.mode), within()))

  it.each(KEY_PAIR_SPEC_NAMES)(
    'of spec %s are given with the private key, which opens again',
    async (spec) => {
      const sealed = await make(spec, true)
      expect(sealed).toMatchObject({ mode: 'W0' })
      expect(sealed).not.toHaveProperty('hostMemory')
      expect(await open(sealed)).toEqual(sealed.privateKey)
      requireUsable(spec, sealed.publicKey, sealed.privateKey ?? expect.fail())
    },
  )

  it.each(KEY_PAIR_SPEC_NAMES.filter((spec) => spec !== 'ED25519'))(
    'of spec %s are sealed inside, and open to the private key',
    async (spec) => {
      const sealed = await make(spec, false)
      expect(sealed).toMatchObject({ mode: 'W2' })
      expect(sealed).not.toHaveProperty('hostMemory')
      expect(sealed).not.toHaveProperty('privateKey')
      const opened = await open(sealed)
      requireUsable(spec, sealed.publicKey, opened)
      expect(await open(sealed)).toEqual(opened)
    },
    60_000,
  )
})

/** A signature of the private key verifies with the public key, and both have the form that OpenSSL gives them. */
function requireUsable(spec: KeyPairSpec, spki: Buffer, pkcs8: Buffer): void {
  const { kind } = KEY_PAIR_SPECS[spec].algorithm
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  const digest = kind === 'ed25519' ? null : 'sha256'
  const text = Buffer.from(spec)
  expect(verify(digest, text, publicKey, sign(digest, text, privateKey))).toBe(true)
  expect(publicKey.export({ format: 'der', type: 'spki' })).toEqual(spki)
  expect(privateKey.export({ format: 'der', type: 'pkcs8' })).toEqual(pkcs8)
  expect(publicKey.asymmetricKeyType).toBe(kind)
}
