import { createPrivateKey, createPublicKey, randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { KeySpec } from '../../src/core/key.ts'
import type { CryptoProvider, MasterKeyRef, Sealed, SealMode } from '../../src/core/ports/crypto-provider.ts'
import { OTHER_SPECS, otherKeysContract } from './crypto-provider-contract-keys.ts'

export interface OpenProvider {
  readonly provider: CryptoProvider
  /** Name of the token that it serves. */
  readonly token: string
  close(): Promise<void>
}

/** What is known of one provider, and differs between tokens. */
export interface ProviderTraits {
  /** Length of the IVs that it seals with. */
  readonly ivBytes: 12 | 16
  /** How it seals a data key that nobody is given; `none` where it refuses. */
  readonly inside: 'W1' | 'W2' | 'hostMemory' | 'none'
  /** Shortest and longest data key that it makes so. */
  readonly insideBytesMin: number
  readonly insideBytesMax: number
  /** Specs of master keys that are tried, beside the symmetric ones. */
  readonly specs: readonly KeySpec[]
  /** Those of them that it cannot make. */
  readonly unable: readonly KeySpec[]
}

const USUAL: ProviderTraits = {
  ivBytes: 12,
  inside: 'W2',
  insideBytesMin: 1,
  insideBytesMax: 1024,
  specs: OTHER_SPECS,
  unable: [],
}

const within = (ms = 10_000) => ({ deadlineAt: Date.now() + ms })
const flipped = (bytes: Buffer, at: number) => Buffer.from(bytes).fill((bytes[at] ?? 0) ^ 1, at, at + 1)

/** The behaviour every CryptoProvider owes its callers; each provider's test file calls this once per token. */
export function cryptoProviderContract(
  open: () => Promise<OpenProvider>,
  differing: Partial<ProviderTraits> = {},
): void {
  const { ivBytes, inside, insideBytesMin, insideBytesMax, specs, unable } = { ...USUAL, ...differing }
  let opened: OpenProvider
  let provider: CryptoProvider
  let ref: MasterKeyRef
  const aad = Buffer.from('additional data')
  const freshRef = (): MasterKeyRef => ({
    token: opened.token,
    keyId: randomUUID(),
    versionId: randomUUID(),
    versionNumber: 1,
  })

  beforeAll(async () => {
    opened = await open()
    provider = opened.provider
    ref = freshRef()
    await provider.createMasterKey(ref, within())
  })
  afterAll(() => opened?.close())

  describe('master keys', () => {
    it('are absent, present, refused a second time, and absent again when destroyed', async () => {
      const other = freshRef()
      expect(await provider.findMasterKey(other, within())).toBe('absent')
      await provider.createMasterKey(other, within())
      expect(await provider.findMasterKey(other, within())).toBe('present')
      await expect(provider.createMasterKey(other, within())).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
      })
      // The core completes an interrupted creation on this answer, so it has to hold for a key that works.
      expect(await provider.findMasterKey(other, within())).toBe('present')
      const sealed = await provider.seal(other, Buffer.of(1), aad, within())
      expect(await provider.open(other, 'W0', sealed, aad, within())).toEqual(Buffer.of(1))
      await provider.destroyMasterKey(other, within())
      expect(await provider.findMasterKey(other, within())).toBe('absent')
      await provider.destroyMasterKey(other, within())
    })

    it('that are not there are no reason to blame the ciphertext', async () => {
      const absent = freshRef()
      await expect(provider.seal(absent, Buffer.of(1), aad, within())).rejects.toMatchObject({
        code: 'TOKEN_UNAVAILABLE',
      })
      const sealed = await provider.seal(ref, Buffer.of(1), aad, within())
      await expect(provider.open(absent, 'W0', sealed, aad, within())).rejects.toMatchObject({
        code: 'TOKEN_UNAVAILABLE',
      })
    })
  })

  otherKeysContract(() => opened, unable, specs)

  describe('sealing', () => {
    it.each([1, 31, 32, 33, 1024, 4096, 8192])('gives back %i bytes that were sealed', async (length) => {
      const plaintext = randomBytes(length)
      const sealed = await provider.seal(ref, plaintext, aad, within())
      expect(sealed.iv).toHaveLength(ivBytes)
      expect(sealed.tag).toHaveLength(16)
      expect(sealed.ciphertext).toHaveLength(length)
      expect(await provider.open(ref, 'W0', sealed, aad, within())).toEqual(plaintext)
    })

    it.each([1, 16, 32, 1024])('draws a data key of %i bytes and seals that one', async (length) => {
      const { plaintext, ...sealed } = await provider.sealRandom(ref, length, aad, within())
      expect(plaintext).toHaveLength(length)
      expect(await provider.open(ref, 'W0', sealed, aad, within())).toEqual(plaintext)
    })

    it('never uses an IV or a data key twice', async () => {
      const sealed = await Promise.all(
        Array.from({ length: 200 }, () => provider.sealRandom(ref, 32, aad, within())),
      )
      expect(new Set(sealed.map(({ iv }) => iv.toString('hex'))).size).toBe(200)
      expect(new Set(sealed.map(({ plaintext }) => plaintext.toString('hex'))).size).toBe(200)
    })
  })

  describe('key pairs', () => {
    const publicKeyOf = (pkcs8: Buffer): Buffer => {
      const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
      return createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
    }
    const aadFor = (mode: string) => Buffer.from(`aad of ${mode}`)

    it.each(['EC_P256', 'RSA_2048'] as const)('of spec %s with their private key', async (spec) => {
      const sealed = await provider.sealKeyPair(ref, { spec, readable: true }, aadFor, within(90_000))
      expect(sealed).not.toHaveProperty('hostMemory')
      const pkcs8 = await provider.open(ref, sealed.mode, sealed, aadFor(sealed.mode), within())
      expect(pkcs8).toEqual(sealed.privateKey)
      expect(publicKeyOf(pkcs8)).toEqual(sealed.publicKey)
    })

    it.each(['EC_P256', 'RSA_2048'] as const)('of spec %s without it', async (spec) => {
      const sealing = provider.sealKeyPair(ref, { spec, readable: false }, aadFor, within(90_000))
      if (inside === 'none') return expect(sealing).rejects.toMatchObject({ code: 'UNSUPPORTED' })
      const sealed = await sealing
      expect(sealed.mode).toBe(inside === 'hostMemory' ? 'W0' : inside)
      expect(sealed.hostMemory).toBe(inside === 'hostMemory' ? true : undefined)
      expect(sealed).not.toHaveProperty('privateKey')
      const openPair = (payload: Sealed) =>
        provider.open(ref, sealed.mode, payload, aadFor(sealed.mode), within())
      const pkcs8 = await openPair(sealed)
      expect(await openPair(sealed)).toEqual(pkcs8)
      expect(publicKeyOf(pkcs8)).toEqual(sealed.publicKey)
      const forged = { ...sealed, tag: flipped(sealed.tag, 3) }
      return expect(openPair(forged)).rejects.toMatchObject({ code: 'CIPHERTEXT_INVALID' })
    })
  })

  describe('opening', () => {
    it('refuses what was changed anywhere, in one and the same way', async () => {
      const sealed = await provider.seal(ref, randomBytes(32), aad, within())
      const variants: readonly (readonly [Sealed, Buffer])[] = [
        ...Array.from(sealed.iv, (_, i) => [{ ...sealed, iv: flipped(sealed.iv, i) }, aad] as const),
        ...Array.from(
          sealed.ciphertext,
          (_, i) => [{ ...sealed, ciphertext: flipped(sealed.ciphertext, i) }, aad] as const,
        ),
        ...Array.from(sealed.tag, (_, i) => [{ ...sealed, tag: flipped(sealed.tag, i) }, aad] as const),
        [sealed, flipped(aad, 0)],
        [sealed, Buffer.alloc(0)],
        [{ ...sealed, ciphertext: sealed.ciphertext.subarray(1) }, aad],
      ]
      const messages = new Set<string>()
      for (const [variant, variantAad] of variants) {
        const error = await provider.open(ref, 'W0', variant, variantAad, within()).catch((e) => e)
        expect(error).toMatchObject({ code: 'CIPHERTEXT_INVALID' })
        messages.add(error.message)
      }
      expect(messages.size).toBe(1)
      expect(await provider.open(ref, 'W0', sealed, aad, within())).toHaveLength(32)
    })

    it('refuses another key', async () => {
      const other = freshRef()
      await provider.createMasterKey(other, within())
      const sealed = await provider.seal(ref, randomBytes(32), aad, within())
      await expect(provider.open(other, 'W0', sealed, aad, within())).rejects.toMatchObject({
        code: 'CIPHERTEXT_INVALID',
      })
    })

    it.each(['W1', 'W2'] as const)('refuses bytes of the caller as a key of mode %s', async (mode) => {
      const sealed = await provider.seal(ref, randomBytes(42), aad, within())
      await expect(provider.open(ref, mode, sealed, aad, within())).rejects.toMatchObject({
        code: 'CIPHERTEXT_INVALID',
      })
    })
  })

  describe('data keys that nobody is given', () => {
    const mode: SealMode = inside === 'hostMemory' || inside === 'none' ? 'W0' : inside
    const aadOf = (told: SealMode) => Buffer.from(`aad of ${told}`)
    const make = (length: number) => provider.sealRandomInside(ref, length, aadOf, within())
    const openAgain = (sealed: Sealed) => provider.open(ref, mode, sealed, aadOf(mode), within())
    const lengths = [1, 16, 32, 33, 256, 257, 1024]
    const made =
      inside === 'none'
        ? []
        : lengths.filter((length) => length >= insideBytesMin && length <= insideBytesMax)
    const refused = lengths.filter((length) => !made.includes(length))

    it.each(made)('are made with %i bytes, sealed as was told', async (length) => {
      const told: string[] = []
      const aadFor = (one: SealMode) => {
        told.push(one)
        return aadOf(one)
      }
      const sealed = await provider.sealRandomInside(ref, length, aadFor, within())
      expect([told, sealed.mode, sealed.hostMemory === true]).toEqual([[mode], mode, inside === 'hostMemory'])
      expect([sealed.iv.length, sealed.tag.length]).toEqual([ivBytes, 16])
      const first = await openAgain(sealed)
      expect(first).toHaveLength(length)
      expect(await openAgain(sealed)).toEqual(first)
    })

    it.each(refused)('are refused with %i bytes, naming what an operator can do', async (length) => {
      const error = await make(length).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({
        code: 'UNSUPPORTED',
        cause: { hint: expect.stringContaining('allowHostMemory') },
      })
    })

    if (inside === 'none') return

    it('differ, and so do their IVs', async () => {
      const sealed = await Promise.all(Array.from({ length: 24 }, () => make(32)))
      const keys = await Promise.all(sealed.map(openAgain))
      expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(24)
      expect(new Set(sealed.map(({ iv }) => iv.toString('hex'))).size).toBe(24)
    })

    it('open neither changed nor as of another mode', async () => {
      const { iv, ciphertext, tag } = await make(32)
      const sealed = { iv, ciphertext, tag }
      const changed = (['iv', 'ciphertext', 'tag'] as const).flatMap((field) =>
        Array.from(sealed[field], (_, at) => ({ ...sealed, [field]: flipped(sealed[field], at) })),
      )
      const attempts = [
        ...changed.map((one) => [mode, one, aadOf(mode)] as const),
        [mode, { ...sealed, ciphertext: ciphertext.subarray(1) }, aadOf(mode)] as const,
        [mode, sealed, Buffer.alloc(0)] as const,
        ...(['W0', 'W1', 'W2'] as const)
          .filter((other) => other !== mode)
          .map((other) => [other, sealed, aadOf(other)] as const),
      ]
      const messages = new Set<string>()
      for (const [as, one, aadGiven] of attempts) {
        const error = await provider.open(ref, as, one, aadGiven, within()).catch((thrown) => thrown)
        expect(error).toMatchObject({ code: 'CIPHERTEXT_INVALID' })
        messages.add(error.message)
      }
      expect(messages.size).toBe(1)
      expect(await openAgain(sealed)).toHaveLength(32)
    })
  })

  it('draws random bytes, and proves its health with and without a key', async () => {
    expect(await provider.generateRandom(opened.token, 1024, within())).toHaveLength(1024)
    await provider.checkHealth(opened.token, undefined, within())
    await provider.checkHealth(opened.token, ref, within())
  })

  it('refuses a call whose deadline has passed', async () => {
    await expect(provider.seal(ref, Buffer.of(1), aad, { deadlineAt: Date.now() - 1 })).rejects.toMatchObject(
      {
        code: 'TOKEN_TIMEOUT',
      },
    )
  })

  it('keeps many calls at a time apart', async () => {
    const calls = Array.from({ length: 100 }, async (_, i) => {
      const plaintext = Buffer.from(`plaintext ${i}`)
      const sealed = await provider.seal(ref, plaintext, Buffer.from(`aad ${i}`), within())
      const back = await provider.open(ref, 'W0', sealed, Buffer.from(`aad ${i}`), within())
      return back.equals(plaintext)
    })
    expect(await Promise.all(calls)).toEqual(calls.map(() => true))
  })
}
