import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { call } from '../support/kms-fixture.ts'
import { type InstanceFixture, instanceFixture } from './instance-fixture.ts'

const SPECS = {
  RSA_2048: { modulusLength: 2048 },
  RSA_3072: { modulusLength: 3072 },
  RSA_4096: { modulusLength: 4096 },
  EC_P256: { namedCurve: 'prime256v1' },
  EC_P256K: { namedCurve: 'secp256k1' },
} as const
const FORMATS = ['PEM', 'DER'] as const
const Aad = Buffer.from('for signing')

const PLAIN = ['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext'] as const
const ADVANCE = ['AdvanceGenerateDataKeyPair', 'AdvanceGenerateDataKeyPairWithoutPlaintext'] as const

let fixture: InstanceFixture
let KeyId: string
beforeEach(async () => {
  fixture = instanceFixture()
  KeyId = (await fixture.newKey()).keyId
})

/** Whether a signature of the opened private key verifies with the public key, both read as the format says. */
function match(format: (typeof FORMATS)[number], publicKey: Buffer, privateKey: Buffer): boolean {
  const [secret, open] =
    format === 'PEM'
      ? [createPrivateKey(privateKey.toString('latin1')), createPublicKey(publicKey.toString('latin1'))]
      : [
          createPrivateKey({ key: privateKey, format: 'der', type: 'pkcs8' }),
          createPublicKey({ key: publicKey, format: 'der', type: 'spki' }),
        ]
  const text = Buffer.from('signed')
  return verify('sha256', text, open, sign('sha256', text, secret))
}

/** A token takes its time for a pair; the double in memory does not. */
function slowPairs(): void {
  const { provider } = fixture
  const seal = provider.sealKeyPair.bind(provider)
  provider.sealKeyPair = async (...args) => {
    await delay(300)
    return seal(...args)
  }
}

const cases = Object.entries(SPECS).flatMap(([spec, details]) =>
  FORMATS.map((format) => ({ spec, format, details })),
)

describe('data key pairs of the instance API', () => {
  it.each(cases)(
    '$spec in $format, by all four operations, open to exactly what was given',
    async ({ spec, format, details }) => {
      for (const api of [...PLAIN, ...ADVANCE]) {
        const answer = await fixture.alice.call(api, { KeyId, KeyPairSpec: spec, KeyFormat: format, Aad })
        expect(answer, JSON.stringify(answer.text)).toMatchObject({ status: 200 })
        const { PrivateKeyCiphertextBlob: CiphertextBlob, PublicKey, Iv, PrivateKeyPlaintext } = answer.bytes
        expect(answer.text).toMatchObject({ KeyId, KeyPairSpec: spec, Algorithm: 'AES_GCM' })
        const isAdvance = api.startsWith('Advance')
        const versionId = answer.headers['x-kms-migrationkeyversionid']
        if (isAdvance) expect(answer.text['KeyVersionId']).toBe(versionId)
        const opened = isAdvance
          ? await fixture.alice.call('AdvanceDecrypt', { CiphertextBlob, Aad })
          : await fixture.alice.call('Decrypt', { KeyId, CiphertextBlob, Iv, Aad })
        expect(opened, JSON.stringify(opened.text)).toMatchObject({ status: 200 })
        const { Plaintext = Buffer.alloc(0) } = opened.bytes
        if (api.includes('Without')) expect(PrivateKeyPlaintext ?? Buffer.alloc(0)).toHaveLength(0)
        else expect(Plaintext).toEqual(PrivateKeyPlaintext)
        expect(match(format, PublicKey ?? Buffer.alloc(0), Plaintext)).toBe(true)
        if (format === 'PEM') {
          expect(Plaintext.toString('latin1')).toMatch(
            /^-----BEGIN PRIVATE KEY-----\n[^]*-----END PRIVATE KEY-----\n$/,
          )
          expect(PublicKey?.toString('latin1')).toMatch(
            /^-----BEGIN PUBLIC KEY-----\n[^]*-----END PUBLIC KEY-----\n$/,
          )
        }
        const key =
          format === 'PEM' ? Plaintext.toString('latin1') : { key: Plaintext, format: 'der', type: 'pkcs8' }
        expect(createPrivateKey(key as string).asymmetricKeyDetails).toMatchObject(details)
        const unbound = { KeyId, CiphertextBlob, Iv }
        expect((await fixture.alice.call(isAdvance ? 'AdvanceDecrypt' : 'Decrypt', unbound)).status).toBe(400)
      }
    },
    60_000,
  )

  it('are refused with another spec or format, or without one', async () => {
    const refused = async (api: string, fields: object) =>
      (await fixture.alice.call(api, { KeyId, KeyPairSpec: 'EC_P256', KeyFormat: 'DER', ...fields })).text
    for (const api of [...PLAIN, ...ADVANCE]) {
      for (const KeyPairSpec of ['EC_SM2', 'EC_P384', 'ECC_NIST_P256', 'rsa_2048', '__proto__']) {
        expect(await refused(api, { KeyPairSpec })).toMatchObject({ ErrorCode: 'InvalidParameter' })
      }
      for (const KeyFormat of ['pem', 'JWK']) {
        expect(await refused(api, { KeyFormat })).toMatchObject({ ErrorCode: 'InvalidParameter' })
      }
      expect(await refused(api, { KeyPairSpec: '' })).toMatchObject({ ErrorCode: 'MissingParameter' })
      expect(await refused(api, { KeyFormat: '' })).toMatchObject({ ErrorCode: 'MissingParameter' })
      expect(await refused(api, { KeyId: '' })).toMatchObject({ ErrorCode: 'MissingParameter' })
    }
  })

  it('are made one at a time: everybody else is refused at once, and nobody is lost', async () => {
    slowPairs()
    const input = { KeyId, KeyPairSpec: 'EC_P256', KeyFormat: 'DER' }
    const apis = [...PLAIN, ...ADVANCE]
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => fixture.alice.call(apis[index % 4] ?? '', input)),
    )
    const made = answers.filter(({ status }) => status === 200)
    expect(made).toHaveLength(1)
    for (const { status, text } of answers.filter((answer) => !made.includes(answer))) {
      expect(status).toBe(429)
      expect(text).toMatchObject({
        StatusCode: '429',
        ErrorCode: 'Rejected.Throttling',
        ErrorMessage: 'Concurrency Limit Exceeded.',
      })
    }
    expect((await fixture.alice.call('GenerateDataKeyPair', input)).status).toBe(200)
  })

  it('wait for pairs of other APIs no more than for their own', async () => {
    slowPairs()
    const key = { kind: 'id', keyId: KeyId } as const
    const other = fixture.kms.generateDataKeyPair(call(), {
      key,
      spec: 'EC_P256',
      presentation: 'pkcs8-der',
      waitMs: 5000,
    })
    const input = { KeyId, KeyPairSpec: 'EC_P256', KeyFormat: 'PEM' }
    const { status, text } = await fixture.alice.call('AdvanceGenerateDataKeyPair', input)
    expect([status, text['ErrorMessage']]).toEqual([429, 'Concurrency Limit Exceeded.'])
    await other
  }, 60_000)
})
