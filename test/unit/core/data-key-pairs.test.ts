import { createPublicKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { SealedKeyPair } from '../../../src/core/ports/crypto-provider.ts'
import { ALICE, call, kmsFixture, MALLORY } from '../../support/kms-fixture.ts'

const inputFor = (keyId: string) =>
  ({
    key: { kind: 'id', keyId },
    spec: 'EC_P256',
    presentation: 'pkcs8-pem',
    encryptionContext: new Map([['app', 'test']]),
    waitMs: 0,
  }) as const

async function fixtureWithKey() {
  const fixture = kmsFixture()
  const { keyId } = await fixture.kms.createKey(call(), {})
  return { ...fixture, input: inputFor(keyId) }
}

describe('generateDataKeyPair', () => {
  it('PK-5 writes both keys as PEM where that is asked, and Decrypt gives back that very text', async () => {
    const { kms, input } = await fixtureWithKey()
    const pair = await kms.generateDataKeyPair(call(), input)
    expect(pair.plaintext.toString()).toMatch(
      /^-----BEGIN PRIVATE KEY-----\n[^]*\n-----END PRIVATE KEY-----\n$/,
    )
    expect(createPublicKey(pair.publicKey.toString()).export({ type: 'spki', format: 'pem' })).toBe(
      pair.publicKey.toString(),
    )
    expect(createPublicKey(pair.plaintext.toString()).export({ type: 'spki', format: 'pem' })).toBe(
      pair.publicKey.toString(),
    )
    const { encryptionContext } = input
    for (let time = 0; time < 2; time += 1) {
      const opened = await kms.decrypt(call(), { blob: pair.blob, encryptionContext })
      expect(opened.plaintext).toEqual(pair.plaintext)
    }
  })

  it('ENV-6 authenticates how the key is written: a blob that says DER instead of PEM does not open', async () => {
    const { kms, input } = await fixtureWithKey()
    const { blob: readable } = await kms.generateDataKeyPair(call(), input)
    const { blob: inside } = await kms.generateDataKeyPairWithoutPlaintext(call(), input)
    for (const blob of [readable, inside]) {
      blob[1] = (blob[1] ?? 0) ^ 0x03
      const opening = kms.decrypt(call(), { blob, encryptionContext: input.encryptionContext })
      await expect(opening).rejects.toMatchObject({ code: 'CIPHERTEXT_INVALID' })
    }
  })

  it('is refused for keys of others and disabled ones, before the token is touched', async () => {
    const { kms, provider, input } = await fixtureWithKey()
    const before = provider.calls.length
    await expect(kms.generateDataKeyPair(call(MALLORY), input)).rejects.toMatchObject({
      code: 'KEY_NOT_FOUND',
    })
    await kms.disableKey(call(), input.key.keyId)
    const disabled = { code: 'KEY_STATE_INVALID' }
    await expect(kms.generateDataKeyPair(call(), input)).rejects.toMatchObject(disabled)
    await expect(kms.generateDataKeyPairWithoutPlaintext(call(), input)).rejects.toMatchObject(disabled)
    expect(provider.calls.slice(before)).toEqual([])
  })

  it('ends by the deadline of its caller; the gate stays closed until the token has ended, and the key is zeroed', async () => {
    const { kms, provider, input } = await fixtureWithKey()
    const { promise: free, resolve: release } = Promise.withResolvers<void>()
    const sealKeyPair = provider.sealKeyPair.bind(provider)
    const made: SealedKeyPair[] = []
    provider.sealKeyPair = async (ref, request, aadFor, options) => {
      expect(options.deadlineAt).toBeGreaterThan(Date.now() + 60_000)
      const sealed = await sealKeyPair(ref, request, aadFor, options)
      made.push(sealed)
      await free
      return sealed
    }
    const hasty = { ...call(ALICE), deadlineAt: Date.now() + 100 }
    await expect(kms.generateDataKeyPair(hasty, input)).rejects.toMatchObject({ code: 'TOKEN_TIMEOUT' })
    await expect(kms.generateDataKeyPair(call(), input)).rejects.toMatchObject({ code: 'TOKEN_BUSY' })
    const next = kms.generateDataKeyPair(call(), { ...input, waitMs: 4_000 })
    expect(made[0]?.privateKey?.some((byte) => byte !== 0)).toBe(true)
    release()
    expect((await next).plaintext.length).toBeGreaterThan(100)
    expect(made[0]?.privateKey?.every((byte) => byte === 0)).toBe(true)
    expect(made).toHaveLength(2)
  })

  it('frees the gate where the token fails', async () => {
    const { kms, provider, input } = await fixtureWithKey()
    const sealKeyPair = provider.sealKeyPair.bind(provider)
    provider.sealKeyPair = () => Promise.reject(new Error('the token broke'))
    await expect(kms.generateDataKeyPair(call(), input)).rejects.toThrow('the token broke')
    provider.sealKeyPair = sealKeyPair
    await kms.generateDataKeyPairWithoutPlaintext(call(), input)
  })

  it('says that it passed through host memory, where it did', async () => {
    const { kms, provider, input } = await fixtureWithKey()
    const sealKeyPair = provider.sealKeyPair.bind(provider)
    const [before, after] = [call(), call()]
    await kms.generateDataKeyPairWithoutPlaintext(before, input)
    provider.sealKeyPair = async (...asked) => ({ ...(await sealKeyPair(...asked)), hostMemory: true })
    await kms.generateDataKeyPairWithoutPlaintext(after, input)
    expect([before.trail.hostMemory, after.trail.hostMemory]).toEqual([undefined, true])
  })

  it('is made for nobody who has stopped waiting', async () => {
    const { kms, provider, input } = await fixtureWithKey()
    const { promise: held, resolve: go } = Promise.withResolvers<void>()
    const sealKeyPair = provider.sealKeyPair.bind(provider)
    let asked = 0
    provider.sealKeyPair = async (...given) => {
      asked += 1
      await held
      return sealKeyPair(...given)
    }
    const first = kms.generateDataKeyPairWithoutPlaintext(call(), input)
    const impatient = { ...call(), deadlineAt: Date.now() + 50 }
    const second = kms.generateDataKeyPairWithoutPlaintext(impatient, { ...input, waitMs: 10_000 })
    await expect(second).rejects.toMatchObject({ name: 'KmsError' })
    // The gate's own timer may come a moment after the deadline.
    await new Promise((resolve) => setTimeout(resolve, 50))
    go()
    await first
    await kms.generateDataKeyPairWithoutPlaintext(call(), input)
    expect(asked).toBe(2)
  })
})
