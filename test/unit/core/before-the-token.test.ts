import { createPublicKey } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import type { CreateKeyInput } from '../../../src/core/ops/create-key.ts'
import { call, kmsFixture } from '../../support/kms-fixture.ts'

const OAEP = 'RSAES_OAEP_SHA_256'
/** Fewer characters than the canonical form may have bytes, and more bytes than that. */
const TOO_LONG = new Map([['a', 'ü'.repeat(4_200)]])

let fixture: ReturnType<typeof kmsFixture>
beforeEach(() => {
  fixture = kmsFixture()
})

const newKey = async (input: CreateKeyInput = {}): Promise<MasterKey> => fixture.kms.createKey(call(), input)
const byId = ({ keyId }: MasterKey) => ({ kind: 'id', keyId }) as const
const rsa = () => newKey({ spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT' })

/** The code that something is refused with, for which the token is asked nothing. */
async function refusal(ask: () => Promise<unknown>): Promise<string> {
  fixture.provider.calls.length = 0
  const code = await ask().then(
    () => 'done',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
  expect(fixture.provider.calls).toEqual([])
  return code
}

describe('the token is asked nothing', () => {
  it('to encrypt anew what the new key could not bind', async () => {
    const [source, destination] = [await newKey(), await rsa()]
    const { blob } = await fixture.kms.encrypt(call(), { key: byId(source), plaintext: Buffer.from('x') })
    const wanted = { blob, destinationKey: byId(destination), destinationAlgorithm: OAEP }
    const destinationEncryptionContext = new Map([['a', 'b']])
    expect(
      await refusal(() => fixture.kms.reEncrypt(call(), { ...wanted, destinationEncryptionContext })),
    ).toBe('REQUEST_INVALID')
    const long = { blob, destinationKey: byId(source), destinationEncryptionContext: TOO_LONG }
    expect(await refusal(() => fixture.kms.reEncrypt(call(), long))).toBe('REQUEST_INVALID')
  })

  it('to decrypt what is no number below the modulus', async () => {
    const key = await rsa()
    const { publicKey } = await fixture.kms.getPublicKey(call(), byId(key))
    const { n = '' } = createPublicKey({ key: publicKey, format: 'der', type: 'spki' }).export({
      format: 'jwk',
    })
    const modulus = Buffer.from(n, 'base64url')
    for (const blob of [modulus, Buffer.alloc(256, 0xff), modulus.subarray(1), Buffer.alloc(257)])
      expect(
        await refusal(() => fixture.kms.decrypt(call(), { key: byId(key), algorithm: OAEP, blob })),
      ).toBe('CIPHERTEXT_INVALID')
  })

  it('in a dry run, which refuses what the token would have been asked in vain', async () => {
    const key = byId(await newKey())
    const dry = { ...call(), dryRun: true } as const
    const pair = { spec: 'EC_P256', presentation: 'pkcs8-der', waitMs: 0 } as const
    for (const [encryptionContext, code] of [
      [TOO_LONG, 'REQUEST_INVALID'],
      [new Map([['a', 'b']]), 'DRY_RUN'],
    ] as const) {
      const input = { key, lengthBytes: 32, encryptionContext }
      expect(await refusal(() => fixture.kms.generateDataKey(dry, input))).toBe(code)
      expect(await refusal(() => fixture.kms.generateDataKeyWithoutPlaintext(dry, input))).toBe(code)
      const made = { key, ...pair, encryptionContext }
      expect(await refusal(() => fixture.kms.generateDataKeyPair(dry, made))).toBe(code)
      expect(await refusal(() => fixture.kms.generateDataKeyPairWithoutPlaintext(dry, made))).toBe(code)
    }
  })
})

describe('a MAC that is verified', () => {
  it('is zeroed, for its caller may not have it', async () => {
    const key = byId(await newKey({ spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' }))
    const input = { key, algorithm: 'HMAC_SHA_256', message: Buffer.from('x') } as const
    const { mac } = await fixture.kms.generateMac(call(), input)
    const made: Buffer[] = []
    const make = fixture.provider.mac.bind(fixture.provider)
    fixture.provider.mac = async (...asked) => {
      const bytes = await make(...asked)
      made.push(bytes)
      return bytes
    }
    await fixture.kms.verifyMac(call(), { ...input, mac })
    const wrong = fixture.kms.verifyMac(call(), { ...input, mac: Buffer.alloc(32) })
    await expect(wrong).rejects.toMatchObject({ code: 'MAC_INVALID' })
    expect(made).toEqual([Buffer.alloc(32), Buffer.alloc(32)])
  })
})
