import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isKmsError } from '../../src/core/errors.ts'
import type { MasterKeyRef, Sealed, SealMode } from '../../src/core/ports/crypto-provider.ts'
import { Pkcs11Error } from '../../src/providers/pkcs11/errors.ts'
import { CKM_AES_KEY_WRAP_PAD } from '../../src/providers/pkcs11/mechanisms.ts'
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

const AAD = Buffer.from('aad of the test')

describeWith([SOFTHSM_MODULE], 'sealing and opening on SoftHSM', () => {
  let softHsm: SoftHsm
  let provider: Pkcs11Provider
  let ref: MasterKeyRef

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken('seal')
    provider = await startProvider(settingsFor('seal'))
    expect(provider.status()).toMatchObject({ state: 'up' })
    ref = freshRef()
    await provider.createMasterKey(ref, within())
  })

  afterAll(async () => {
    await provider?.close()
    softHsm?.remove()
  })

  it('gives back the bytes that were sealed, for every length', async () => {
    for (const lengthBytes of [1, 32, 33, 1024, 4096]) {
      const plaintext = randomBytes(lengthBytes)
      const sealed = await provider.seal(ref, plaintext, AAD, within())
      expect([sealed.iv.length, sealed.ciphertext.length, sealed.tag.length]).toEqual([12, lengthBytes, 16])
      expect(await provider.open(ref, 'W0', sealed, AAD, within())).toEqual(plaintext)
    }
  })

  it('draws data keys that differ and seals each so that it opens', async () => {
    const options = within()
    const keys = await Promise.all(
      Array.from({ length: 50 }, () => provider.sealRandom(ref, 32, AAD, options)),
    )
    expect(new Set(keys.map((key) => key.plaintext.toString('hex'))).size).toBe(50)
    expect(new Set(keys.map((key) => key.iv.toString('hex'))).size).toBe(50)
    for (const key of keys) expect(await provider.open(ref, 'W0', key, AAD, options)).toEqual(key.plaintext)
  })

  it('seals without additional data', async () => {
    const sealed = await provider.seal(ref, Buffer.from('x'), Buffer.alloc(0), within())
    expect(await provider.open(ref, 'W0', sealed, Buffer.alloc(0), within())).toEqual(Buffer.from('x'))
  })

  it('opens in W2 a data key of exactly the length that was asked for', async () => {
    expect(provider.status().insideSealMode).toBe('W2')
    for (const lengthBytes of [1, 16, 32, 33, 64, 1024]) {
      const modes: SealMode[] = []
      const aadFor = (mode: SealMode) => {
        modes.push(mode)
        return AAD
      }
      const sealed = await provider.sealRandomInside(ref, lengthBytes, aadFor, within())
      expect([modes, sealed.mode]).toEqual([['W2'], 'W2'])
      const opened = await provider.open(ref, 'W2', sealed, AAD, within())
      expect(opened.length).toBe(lengthBytes)
      expect(await provider.open(ref, 'W2', sealed, AAD, within())).toEqual(opened)
    }
    expect(CKM_AES_KEY_WRAP_PAD).toBe(0x210a)
  })

  it('answers a flip of any byte with one code and one message, and keeps working', async () => {
    const sealed = await provider.seal(ref, Buffer.from('sixteen bytes ok'), AAD, within())
    const messages = new Set<string>()
    const attempt = async (forged: Sealed, aad: Buffer) => {
      const error = await provider.open(ref, 'W0', forged, aad, within()).catch((thrown: unknown) => thrown)
      expect(isKmsError(error, 'CIPHERTEXT_INVALID')).toBe(true)
      messages.add((error as Error).message)
      expect(error).toHaveProperty('cause', expect.any(Error))
    }
    for (const field of ['iv', 'ciphertext', 'tag'] as const) {
      for (let index = 0; index < sealed[field].length; index += 1) {
        await attempt({ ...sealed, [field]: flip(sealed[field], index) }, AAD)
      }
    }
    for (let index = 0; index < AAD.length; index += 1) await attempt(sealed, flip(AAD, index))
    await attempt({ ...sealed, iv: Buffer.alloc(0) }, AAD)
    await attempt({ ...sealed, tag: sealed.tag.subarray(0, 15) }, AAD)
    await attempt({ ...sealed, ciphertext: Buffer.alloc(0) }, AAD)
    expect(messages.size).toBe(1)
    expect(await provider.open(ref, 'W0', sealed, AAD, within())).toEqual(Buffer.from('sixteen bytes ok'))
    expect(provider.status()).toMatchObject({ state: 'up', generation: 1, lanesLost: 0 })
  })

  it('refuses a W2 payload that was altered or is opened as another mode of the same bytes', async () => {
    const sealed = await provider.sealRandomInside(ref, 32, () => AAD, within())
    const forged = { ...sealed, tag: flip(sealed.tag, 0) }
    await expect(provider.open(ref, 'W2', forged, AAD, within())).rejects.toMatchObject({
      code: 'CIPHERTEXT_INVALID',
    })
    const notWrapped = await provider.seal(ref, Buffer.from([0]), AAD, within())
    const error = await provider.open(ref, 'W2', notWrapped, AAD, within()).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'CIPHERTEXT_INVALID', cause: expect.any(Pkcs11Error) })
  })

  it('draws random bytes and proves its health with and without a key', async () => {
    const [one, other] = [
      await provider.generateRandom('main', 64, within()),
      await provider.generateRandom('main', 64, within()),
    ]
    expect(one.length).toBe(64)
    expect(one).not.toEqual(other)
    await provider.checkHealth('main', undefined, within())
    await provider.checkHealth('main', ref, within())
  })

  it('tells how long a call waited and how long the token took', async () => {
    const timings = { queueMs: 0, tokenMs: 0 }
    await provider.sealRandom(ref, 32, AAD, { ...within(), timings })
    expect(timings.tokenMs).toBeGreaterThan(0)
    expect(timings.queueMs).toBeGreaterThan(0)
  })
})

function flip(bytes: Buffer, index: number): Buffer {
  const flipped = Buffer.from(bytes)
  flipped[index] = (flipped[index] ?? 0) ^ 1
  return flipped
}
