import { createDecipheriv, randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CryptoProvider, MasterKeyRef, Sealed } from '../../src/core/ports/crypto-provider.ts'
import { WRAPPING_ALGORITHMS, type WrappingAlgorithm } from '../../src/core/ports/import-store.ts'
import type { OpenProvider } from './crypto-provider-contract.ts'
import { wrapMaterial } from './wrap-material.ts'

/** Algorithms that a token unwraps inside itself, in host memory where that is allowed, or not at all. */
export type ImportTraits = Readonly<Record<WrappingAlgorithm, 'inside' | 'host' | 'none'>>

const AAD = Buffer.from('imported')
const within = (ms = 70_000) => ({ deadlineAt: Date.now() + ms })
const spec = 'RSA_2048'

/** What most material is for. */
export const SYMMETRIC = { spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT' } as const

/** What every CryptoProvider owes to who brings key material. */
export function importContract(open: () => Promise<OpenProvider>, traits: ImportTraits): void {
  let opened: OpenProvider
  let provider: CryptoProvider
  const freshRef = (): MasterKeyRef => ({
    token: opened.token,
    keyId: randomUUID(),
    versionId: randomUUID(),
    versionNumber: 1,
  })
  const freshPair = () => ({ token: opened.token, pairId: randomUUID() })
  const algorithms = WRAPPING_ALGORITHMS.filter((algorithm) => traits[algorithm] !== 'none')
  const [algorithm = 'RSAES_OAEP_SHA_1'] = algorithms

  beforeAll(async () => {
    opened = await open()
    provider = opened.provider
  })
  afterAll(() => opened?.close())

  async function newPair(wrapping: WrappingAlgorithm = algorithm) {
    const pair = freshPair()
    const { publicKey } = await provider.createImportPair(
      pair,
      { algorithm: wrapping, spec, material: SYMMETRIC },
      within(),
    )
    return { pair, publicKey }
  }

  describe('imported material', () => {
    it.each(algorithms)('comes in wrapped with %s, and seals and opens as the very key', async (wrapping) => {
      const { pair, publicKey } = await newPair(wrapping)
      const [material, ref] = [randomBytes(32), freshRef()]
      const wrapped = wrapMaterial(wrapping, publicKey, material)
      const { hostMemory = false } = await provider.importMasterKey(
        ref,
        { pair, algorithm: wrapping, wrapped },
        within(),
      )
      expect(hostMemory).toBe(traits[wrapping] === 'host')
      const sealed = await provider.seal(ref, Buffer.from('by the token'), AAD, within())
      expect(openBy(material, sealed).toString()).toBe('by the token')
      const inside = await provider.sealRandomInside(ref, 32, () => AAD, within())
      expect(await provider.open(ref, inside.mode, inside, AAD, within())).toHaveLength(32)
      await provider.destroyImportPair(pair, within())
      expect((await provider.open(ref, 'W0', sealed, AAD, within())).toString()).toBe('by the token')
      await provider.destroyMasterKey(ref, within())
    })

    it('opens what it sealed when it was taken away and brought again, whatever it is wrapped with', async () => {
      const [material, ref] = [randomBytes(32), freshRef()]
      const sealed: Sealed[] = []
      for (const wrapping of algorithms) {
        const { pair, publicKey } = await newPair(wrapping)
        const wrapped = wrapMaterial(wrapping, publicKey, material)
        await provider.importMasterKey(ref, { pair, algorithm: wrapping, wrapped }, within())
        sealed.push(await provider.seal(ref, Buffer.from('kept'), AAD, within()))
        for (const one of sealed)
          expect((await provider.open(ref, 'W0', one, AAD, within())).toString()).toBe('kept')
        await provider.destroyMasterKey(ref, within())
        expect(await provider.findMasterKey(ref, within())).toBe('absent')
      }
    })

    it('that two imports of one version bring is two, and goes one by one', async () => {
      const { pair, publicKey } = await newPair()
      const ref = freshRef()
      const [first, second] = [
        { ...ref, importId: randomUUID() },
        { ...ref, importId: randomUUID() },
      ]
      const wrapped = wrapMaterial(algorithm, publicKey, randomBytes(32))
      await provider.importMasterKey(first, { pair, algorithm, wrapped }, within())
      await provider.importMasterKey(second, { pair, algorithm, wrapped }, within())
      const sealed = await provider.seal(second, Buffer.from('x'), AAD, within())
      await provider.destroyMasterKey(first, within())
      expect((await provider.open(second, 'W0', sealed, AAD, within())).toString()).toBe('x')
      expect(await provider.findMasterKey(first, within())).toBe('absent')
    })

    it('is refused a second time, and leaves what was there', async () => {
      const { pair, publicKey } = await newPair()
      const ref = freshRef()
      const wrapped = wrapMaterial(algorithm, publicKey, randomBytes(32))
      await provider.importMasterKey(ref, { pair, algorithm, wrapped }, within())
      const sealed = await provider.seal(ref, Buffer.from('x'), AAD, within())
      const again = provider.importMasterKey(ref, { pair, algorithm, wrapped }, within())
      await expect(again).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
      expect((await provider.open(ref, 'W0', sealed, AAD, within())).toString()).toBe('x')
    })

    it.each([
      ['bytes of chance', () => randomBytes(256)],
      ['nothing but a byte', () => Buffer.of(1)],
      ['too many bytes', () => randomBytes(600)],
      ['16 bytes', (spki: Buffer) => wrapMaterial(algorithm, spki, randomBytes(16))],
      ['24 bytes', (spki: Buffer) => wrapMaterial(algorithm, spki, randomBytes(24))],
      ['33 bytes', (spki: Buffer) => wrapMaterial(algorithm, spki, randomBytes(33))],
    ])('that is %s is no material, and nothing stays of it', async (_, wrappedFor) => {
      const { pair, publicKey } = await newPair()
      const ref = freshRef()
      const wrapped = wrappedFor(publicKey)
      const refused = provider.importMasterKey(ref, { pair, algorithm, wrapped }, within())
      await expect(refused).rejects.toMatchObject({ code: 'CIPHERTEXT_INVALID' })
      expect(await provider.findMasterKey(ref, within())).toBe('absent')
    })

    it.each(algorithms)(
      'that is no number below the modulus is no material, wrapped with %s',
      async (wrapping) => {
        const { pair, publicKey } = await newPair(wrapping)
        const ref = freshRef()
        const good = wrapMaterial(wrapping, publicKey, randomBytes(32))
        const wrapped = Buffer.concat([Buffer.alloc(256, 0xff), good.subarray(256)])
        const refused = provider.importMasterKey(ref, { pair, algorithm: wrapping, wrapped }, within())
        await expect(refused).rejects.toMatchObject({ code: 'CIPHERTEXT_INVALID' })
        await provider.importMasterKey(ref, { pair, algorithm: wrapping, wrapped: good }, within())
      },
    )

    it('that was wrapped for another pair does not come in', async () => {
      const [one, other] = [await newPair(), await newPair()]
      const ref = freshRef()
      const wrapped = wrapMaterial(algorithm, one.publicKey, randomBytes(32))
      const refused = provider.importMasterKey(ref, { pair: other.pair, algorithm, wrapped }, within())
      await expect(refused).rejects.toMatchObject({ code: 'CIPHERTEXT_INVALID' })
    })

    it('does not come in when its pair is gone, and a pair may be destroyed that never was', async () => {
      const { pair, publicKey } = await newPair()
      await provider.destroyImportPair(pair, within())
      await provider.destroyImportPair(freshPair(), within())
      const wrapped = wrapMaterial(algorithm, publicKey, randomBytes(32))
      const refused = provider.importMasterKey(freshRef(), { pair, algorithm, wrapped }, within())
      await expect(refused).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    })

    it.each(['RSA_3072', 'RSA_4096'] as const)('comes in under a key of spec %s', async (larger) => {
      const [pair, ref] = [freshPair(), freshRef()]
      const { publicKey } = await provider.createImportPair(
        pair,
        { algorithm, spec: larger, material: SYMMETRIC },
        within(),
      )
      const wrapped = wrapMaterial(algorithm, publicKey, randomBytes(32))
      await provider.importMasterKey(ref, { pair, algorithm, wrapped }, within())
      expect((await provider.seal(ref, Buffer.from('x'), AAD, within())).ciphertext).toHaveLength(1)
    })

    it.each(WRAPPING_ALGORITHMS.filter((one) => traits[one] === 'none').map((one) => [one] as const))(
      'is not taken wrapped with %s, which the token cannot unwrap inside, and nothing is left of the pair',
      async (wrapping) => {
        const refused = provider.createImportPair(
          freshPair(),
          { algorithm: wrapping, spec, material: SYMMETRIC },
          within(),
        )
        await expect(refused).rejects.toMatchObject({
          code: 'UNSUPPORTED',
          message: expect.stringMatching(
            /^The token "main" cannot unwrap .*CKM_RSA_PKCS_OAEP.*allowHostMemory/,
          ),
        })
      },
    )
  })
}

function openBy(key: Buffer, { iv, ciphertext, tag }: Sealed): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, iv)
  decipher.setAAD(AAD)
  decipher.setAuthTag(tag)
  return Buffer.concat([decipher.update(ciphertext), decipher.final()])
}
