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

  it('of one spec are different pairs, whose scalars keep their zeros', async () => {
    const opened: Buffer[] = []
    for (const [spec, count] of [
      ['EC_P256', 150],
      ['EC_P521', 60],
      ['ED25519', 20],
    ] as const) {
      for (let made = 0; made < count; made += 1) {
        const { publicKey, privateKey = expect.fail() } = await make(spec, true)
        requireUsable(spec, publicKey, privateKey)
        opened.push(privateKey)
      }
    }
    for (let made = 0; made < 40; made += 1) {
      const sealed = await make('EC_P521', false)
      const privateKey = await open(sealed)
      requireUsable('EC_P521', sealed.publicKey, privateKey)
      opened.push(privateKey)
    }
    expect(new Set(opened.map((key) => key.toString('hex'))).size).toBe(opened.length)
    expect([...new Set(opened.map(({ length }) => length))].toSorted((a, b) => a - b)).toEqual([48, 138, 241])
    // Half of the scalars of P-521 begin with a zero byte, which SoftHSM strips.
    const zeroes = opened.filter((key) => key.length === 241 && key[35] === 0)
    expect(zeroes.length).toBeGreaterThan(5)
  }, 60_000)

  it('of Ed25519, which SoftHSM does not wrap, are refused without their private key, and the switch is named', async () => {
    for (let time = 0; time < 2; time += 1) {
      const error = await make('ED25519', false).catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'UNSUPPORTED' })
      expect((error as Error).cause).toMatchObject({
        message: expect.stringContaining('CKR_KEY_NOT_WRAPPABLE'),
        hint: expect.stringContaining('allowHostMemory'),
      })
    }
    expect(provider.status()).toMatchObject({ state: 'up', lanesLost: 0 })
  })

  it('of Ed25519 pass through host memory where the operator allows it, and all open alike after a restart', async () => {
    const before = [await make('EC_P256', false), await make('ED25519', true), await make('RSA_2048', false)]
    const opened = await Promise.all(before.map(open))
    await provider.close()
    provider = await startProvider(settingsFor('pairs', { allowHostMemory: true }))
    expect(await Promise.all(before.map(open))).toEqual(opened)
    const sealed = await make('ED25519', false)
    expect(sealed).toMatchObject({ mode: 'W0', hostMemory: true })
    expect(sealed).not.toHaveProperty('privateKey')
    requireUsable('ED25519', sealed.publicKey, await open(sealed))
    expect(await make('EC_P256', false)).not.toHaveProperty('hostMemory')
  })
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
