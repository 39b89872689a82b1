import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CryptoProvider, MasterKeyRef, Sealed } from '../../src/core/ports/crypto-provider.ts'

export interface OpenProvider {
  readonly provider: CryptoProvider
  /** Name of the token that it serves. */
  readonly token: string
  close(): Promise<void>
}

const within = (ms = 10_000) => ({ deadlineAt: Date.now() + ms })
const flipped = (bytes: Buffer, at: number) => Buffer.from(bytes).fill((bytes[at] ?? 0) ^ 1, at, at + 1)

/** The behaviour every CryptoProvider owes its callers; each provider's test file calls this once. */
export function cryptoProviderContract(open: () => Promise<OpenProvider>): void {
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

  describe('sealing', () => {
    it.each([1, 31, 32, 33, 1024, 4096])('gives back %i bytes that were sealed', async (length) => {
      const plaintext = randomBytes(length)
      const sealed = await provider.seal(ref, plaintext, aad, within())
      expect(sealed.iv).toHaveLength(12)
      expect(sealed.tag).toHaveLength(16)
      expect(sealed.ciphertext).toHaveLength(length)
      expect(await provider.open(ref, 'W0', sealed, aad, within())).toEqual(plaintext)
    })

    it.each([1, 16, 32, 1024])('draws a data key of %i bytes and seals that one', async (length) => {
      const { plaintext, ...sealed } = await provider.sealRandom(ref, length, aad, within())
      expect(plaintext).toHaveLength(length)
      expect(await provider.open(ref, 'W0', sealed, aad, within())).toEqual(plaintext)
    })

    it.each([1, 16, 32, 33, 1024])(
      'makes a data key of %i bytes inside, under the mode that it told',
      async (length) => {
        const told: string[] = []
        const sealed = await provider.sealRandomInside(
          ref,
          length,
          (mode) => {
            told.push(mode)
            return Buffer.from(`aad of ${mode}`)
          },
          within(),
        )
        expect(told).toEqual([sealed.mode])
        const first = await provider.open(
          ref,
          sealed.mode,
          sealed,
          Buffer.from(`aad of ${sealed.mode}`),
          within(),
        )
        expect(first).toHaveLength(length)
        const again = await provider.open(
          ref,
          sealed.mode,
          sealed,
          Buffer.from(`aad of ${sealed.mode}`),
          within(),
        )
        expect(again).toEqual(first)
      },
    )

    it('never uses an IV or a data key twice', async () => {
      const sealed = await Promise.all(
        Array.from({ length: 200 }, () => provider.sealRandom(ref, 32, aad, within())),
      )
      expect(new Set(sealed.map(({ iv }) => iv.toString('hex'))).size).toBe(200)
      expect(new Set(sealed.map(({ plaintext }) => plaintext.toString('hex'))).size).toBe(200)
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

    it('refuses a payload of one mode as one of the other', async () => {
      const sealed = await provider.seal(ref, randomBytes(42), aad, within())
      await expect(provider.open(ref, 'W2', sealed, aad, within())).rejects.toMatchObject({
        code: 'CIPHERTEXT_INVALID',
      })
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
