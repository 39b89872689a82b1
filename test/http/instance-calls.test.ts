import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { INSTANCE_OPERATIONS } from '../../src/http/alibaba/instance/operations.ts'
import type { DkmsAnswer, Fields } from '../support/dkms-client.ts'
import { call } from '../support/kms-fixture.ts'
import { type InstanceFixture, instanceFixture } from './instance-fixture.ts'

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const VERSION_HEADER = 'x-kms-migrationkeyversionid'
const Aad = Buffer.from('what is bound')
const Plaintext = Buffer.from('a secret of the caller')

let fixture: InstanceFixture
let KeyId: string
beforeEach(async () => {
  fixture = instanceFixture({ gcm: { rotateAt: 1, leaseInvocations: 1 } })
  KeyId = (await fixture.newKey()).keyId
})

const ok = async (api: string, fields: Fields, options = {}): Promise<DkmsAnswer> => {
  const answer = await fixture.alice.call(api, fields, options)
  expect(answer, JSON.stringify(answer.text)).toMatchObject({ status: 200 })
  return answer
}
const refused = async (api: string, fields: Fields, options = {}) => {
  const { status, text, headers } = await fixture.alice.call(api, fields, options)
  expect(headers['content-type']).toBe('application/x-protobuf')
  expect(text).toMatchObject({ StatusCode: String(status), RequestId: expect.stringMatching(UUID) })
  return [status, text['ErrorCode'], text['ErrorMessage']]
}
const INVALID = [400, 'InvalidParameter', 'The specified parameter is not valid.']
const missing = (name: string) => [
  400,
  'MissingParameter',
  `The parameter "${name}" is needed but not provided.`,
]

/** Seals until the key is due, and rotates it. */
async function rotate(): Promise<{ readonly initial: string; readonly primary: string }> {
  await ok('AdvanceEncrypt', { KeyId, Plaintext })
  await fixture.rotation.run()
  const key = await fixture.store.getKey('us-east-1', KeyId)
  fixture.directory.forgetKey('us-east-1', KeyId)
  const [initial, primary] = key?.versions ?? []
  return { initial: initial?.versionId ?? '', primary: primary?.versionId ?? '' }
}

describe('operations of the instance API', () => {
  it('are the fifteen of the SDKs', () => {
    expect([...INSTANCE_OPERATIONS.keys()].toSorted()).toEqual([
      'AdvanceDecrypt',
      'AdvanceEncrypt',
      'AdvanceGenerateDataKey',
      'AdvanceGenerateDataKeyPair',
      'AdvanceGenerateDataKeyPairWithoutPlaintext',
      'Decrypt',
      'Encrypt',
      'GenerateDataKey',
      'GenerateDataKeyPair',
      'GenerateDataKeyPairWithoutPlaintext',
      'GenerateRandom',
      'GetPublicKey',
      'GetSecretValue',
      'Sign',
      'Verify',
    ])
  })

  it('GetSecretValue is refused by name', async () => {
    const unsupported = [400, 'UnsupportedOperation', 'Rejected.UnsupportedOperation']
    expect(await refused('GetSecretValue', { SecretName: 'x' })).toEqual(unsupported)
  })

  it('GenerateRandom gives as many bytes as asked for', async () => {
    for (const Length of [1, 32, 1024]) {
      expect((await ok('GenerateRandom', { Length })).bytes['Random']).toHaveLength(Length)
    }
    expect(await refused('GenerateRandom', {})).toEqual(missing('Length'))
    expect(await refused('GenerateRandom', { Length: 1025 })).toEqual(INVALID)
    expect(await refused('GenerateRandom', { Length: -1 })).toEqual(INVALID)
  })
})

describe('Encrypt and Decrypt', () => {
  it('give the IV beside the ciphertext, and the key version in a header', async () => {
    const sealed = await ok('Encrypt', { KeyId, Plaintext, Aad })
    const version = (await fixture.kms.describeKey(call(), { kind: 'id', keyId: KeyId })).primaryVersionId
    expect(sealed.text).toEqual({
      KeyId,
      RequestId: expect.stringMatching(UUID),
      Algorithm: 'AES_GCM',
      PaddingMode: '',
    })
    expect(sealed.headers[VERSION_HEADER]).toBe(version)
    const { CiphertextBlob, Iv } = sealed.bytes
    expect(Iv).toHaveLength(12)
    expect(CiphertextBlob).toHaveLength(Plaintext.length + 17)
    const opened = await ok('Decrypt', { KeyId, CiphertextBlob, Iv, Aad, Algorithm: 'AES_GCM' })
    expect(opened.bytes['Plaintext']).toEqual(Plaintext)
    expect(opened.text).toMatchObject({ KeyId, Algorithm: 'AES_GCM' })
    expect(opened.headers[VERSION_HEADER]).toBe(version)
    const advanced = await ok('AdvanceDecrypt', { KeyId, CiphertextBlob, Iv, Aad, Algorithm: 'AES_GCM' })
    expect(advanced.bytes['Plaintext']).toEqual(Plaintext)
    expect(advanced.text['KeyVersionId']).toBe(version)
  })

  it('take aliases, and answer with the id', async () => {
    await fixture.kms.createAlias(call(), 'alias/app', { kind: 'id', keyId: KeyId })
    const sealed = await ok('Encrypt', { KeyId: 'alias/app', Plaintext })
    expect(sealed.text['KeyId']).toBe(KeyId)
    const { CiphertextBlob, Iv } = sealed.bytes
    expect((await ok('Decrypt', { KeyId: 'alias/app', CiphertextBlob, Iv })).bytes['Plaintext']).toEqual(
      Plaintext,
    )
  })

  it('take keys of several regions', async () => {
    const { keyId } = await fixture.kms.createKey(call(), { multiRegion: true })
    expect(keyId).toMatch(/^mrk-/)
    const { CiphertextBlob, Iv } = (await ok('Encrypt', { KeyId: keyId, Plaintext })).bytes
    expect((await ok('Decrypt', { KeyId: keyId, CiphertextBlob, Iv })).bytes['Plaintext']).toEqual(Plaintext)
  })

  it('refuse what is not the very ciphertext, IV, AAD and key, with one answer', async () => {
    const { CiphertextBlob = Buffer.alloc(0), Iv = Buffer.alloc(0) } = (
      await ok('Encrypt', { KeyId, Plaintext, Aad })
    ).bytes
    const other = (await fixture.newKey()).keyId
    const wrong: Fields[] = [
      { KeyId, CiphertextBlob, Iv },
      { KeyId, CiphertextBlob, Iv, Aad: Buffer.from('else') },
      { KeyId: other, CiphertextBlob, Iv, Aad },
      { KeyId, CiphertextBlob: CiphertextBlob.subarray(1), Iv, Aad },
      { KeyId, CiphertextBlob: CiphertextBlob.subarray(0, -1), Iv, Aad },
      { KeyId, CiphertextBlob: Buffer.alloc(1), Iv, Aad },
      { KeyId, CiphertextBlob: Buffer.alloc(5000), Iv, Aad },
      { KeyId, CiphertextBlob: Buffer.alloc(20_000), Iv, Aad },
      { KeyId, CiphertextBlob, Iv: Iv.subarray(1), Aad },
      { KeyId, CiphertextBlob, Iv: Buffer.alloc(12), Aad },
    ]
    for (let index = 0; index < CiphertextBlob.length; index++) {
      const changed = Buffer.from(CiphertextBlob)
      changed[index] = (changed[index] ?? 0) ^ 0x10
      wrong.push({ KeyId, CiphertextBlob: changed, Iv, Aad })
    }
    for (const fields of wrong) expect(await refused('Decrypt', fields)).toEqual(INVALID)
  })

  it('honour an IV of the caller without encrypting with it', async () => {
    const Iv = Buffer.alloc(12, 7)
    const [first, second] = [
      await ok('Encrypt', { KeyId, Plaintext, Aad, Iv }),
      await ok('Encrypt', { KeyId, Plaintext, Aad, Iv }),
    ]
    expect(first.bytes['Iv']).toEqual(Iv)
    const blobs = [first.bytes['CiphertextBlob'], second.bytes['CiphertextBlob']] as Buffer[]
    // With one IV under one key the ciphertexts of one plaintext would be the same.
    expect(blobs[0]?.subarray(12, 12 + Plaintext.length)).not.toEqual(
      blobs[1]?.subarray(12, 12 + Plaintext.length),
    )
    for (const CiphertextBlob of blobs) {
      expect((await ok('Decrypt', { KeyId, CiphertextBlob, Iv, Aad })).bytes['Plaintext']).toEqual(Plaintext)
      const fields = { KeyId, CiphertextBlob, Iv: Buffer.alloc(12, 8), Aad }
      expect(await refused('Decrypt', fields)).toEqual(INVALID)
    }
    const advance = (await ok('AdvanceEncrypt', { KeyId, Plaintext, Iv })).bytes
    expect(advance['Iv']).toEqual(Iv)
    const opened = await ok('AdvanceDecrypt', { CiphertextBlob: advance['CiphertextBlob'] })
    expect(opened.bytes['Plaintext']).toEqual(Plaintext)
    expect(await refused('Encrypt', { KeyId, Plaintext, Iv: Buffer.alloc(16) })).toEqual(INVALID)
  })

  it('refuse other modes of the real service by name, and what no mode is', async () => {
    const unsupported = [400, 'UnsupportedOperation', 'Rejected.UnsupportedOperation']
    for (const Algorithm of ['AES_CBC', 'AES_ECB', 'SM4_GCM']) {
      expect(await refused('Encrypt', { KeyId, Plaintext, Algorithm })).toEqual(unsupported)
      expect(await refused('GenerateDataKey', { KeyId, NumberOfBytes: 1, Algorithm })).toEqual(unsupported)
    }
    expect(await refused('Encrypt', { KeyId, Plaintext, Algorithm: 'aes_gcm' })).toEqual(INVALID)
    expect(await refused('Encrypt', { KeyId, Plaintext, PaddingMode: 'PKCS7_PADDING' })).toEqual(unsupported)
  })

  it('refuse what is missing or too long', async () => {
    expect(await refused('Encrypt', { Plaintext })).toEqual(missing('KeyId'))
    expect(await refused('Encrypt', { KeyId })).toEqual(missing('Plaintext'))
    expect(await refused('Encrypt', { KeyId, Plaintext: Buffer.alloc(6145) })).toEqual(INVALID)
    expect(await refused('Encrypt', { KeyId, Plaintext, Aad: Buffer.alloc(8193) })).toEqual(INVALID)
    expect(await refused('Decrypt', { KeyId, CiphertextBlob: Buffer.alloc(30) })).toEqual(missing('Iv'))
    expect(await refused('Decrypt', { CiphertextBlob: Buffer.alloc(30) })).toEqual(missing('KeyId'))
    expect(await refused('Decrypt', { KeyId, Iv: Buffer.alloc(12) })).toEqual(missing('CiphertextBlob'))
    const longest = { KeyId, Plaintext: Buffer.alloc(6144), Aad: Buffer.alloc(8192, 1) }
    const { CiphertextBlob, Iv } = (await ok('Encrypt', longest)).bytes
    const opened = await ok('Decrypt', { KeyId, CiphertextBlob, Iv, Aad: longest.Aad })
    expect(opened.bytes['Plaintext']).toEqual(longest.Plaintext)
  })

  it('keep to the initial version, and the Advance operations to the primary one', async () => {
    const before = (await ok('Encrypt', { KeyId, Plaintext })).bytes
    const { initial, primary } = await rotate()
    const plain = await ok('Encrypt', { KeyId, Plaintext })
    expect(plain.headers[VERSION_HEADER]).toBe(initial)
    const advance = await ok('AdvanceEncrypt', { KeyId, Plaintext })
    expect(advance.headers[VERSION_HEADER]).toBe(primary)
    expect(advance.text['KeyVersionId']).toBe(primary)
    const dataKey = await ok('GenerateDataKey', { KeyId, NumberOfBytes: 32 })
    expect(dataKey.headers[VERSION_HEADER]).toBe(initial)
    const advanceKey = await ok('AdvanceGenerateDataKey', { KeyId, NumberOfBytes: 32 })
    expect(advanceKey.text['KeyVersionId']).toBe(primary)
    for (const { CiphertextBlob, Iv } of [before, plain.bytes]) {
      expect((await ok('Decrypt', { KeyId, CiphertextBlob, Iv })).bytes['Plaintext']).toEqual(Plaintext)
    }
    const { CiphertextBlob } = advance.bytes
    expect((await ok('AdvanceDecrypt', { CiphertextBlob })).text['KeyVersionId']).toBe(primary)
  })

  it('open under the version that a header names', async () => {
    const { initial, primary } = await rotate()
    const { CiphertextBlob: whole = Buffer.alloc(0), Iv } = (await ok('AdvanceEncrypt', { KeyId, Plaintext }))
      .bytes
    // What a transfer SDK makes of it: the OpenAPI's layout, then what follows its version and IV.
    const CiphertextBlob = whole.subarray(3 + 36 + 12)
    const under = (version: string) => ({ headers: { [VERSION_HEADER]: version } })
    const opened = await ok('Decrypt', { KeyId, CiphertextBlob, Iv }, under(primary))
    expect(opened.bytes['Plaintext']).toEqual(Plaintext)
    // As transfer SDKs ask, which know the version and no key.
    expect((await ok('Decrypt', { CiphertextBlob, Iv }, under(primary))).text['KeyId']).toBe(KeyId)
    expect(await refused('Decrypt', { CiphertextBlob, Iv }, under(initial))).toEqual(INVALID)
    expect(await refused('Decrypt', { CiphertextBlob, Iv }, under('x'))).toEqual(INVALID)
    const noKey = [404, 'Forbidden.KeyNotFound', 'The specified Key is not found.']
    expect(await refused('Decrypt', { CiphertextBlob, Iv }, under(randomUUID()))).toEqual(noKey)
    const foreign = await fixture.mallory.call('Decrypt', { CiphertextBlob, Iv }, under(primary))
    expect([foreign.status, foreign.text['ErrorCode']]).toEqual([404, 'Forbidden.KeyNotFound'])
    expect(await refused('Decrypt', { KeyId, CiphertextBlob, Iv })).toEqual(INVALID)
    expect(await refused('Decrypt', { KeyId, CiphertextBlob, Iv }, under(initial))).toEqual(INVALID)
    const noVersion = [404, 'Forbidden.KeyVersionNotFound', 'The specified Key version is not found.']
    expect(await refused('Decrypt', { KeyId, CiphertextBlob, Iv }, under(randomUUID()))).toEqual(noVersion)
    expect(await refused('Decrypt', { KeyId, CiphertextBlob, Iv }, under('x'))).toEqual(noVersion)
  })
})

describe('AdvanceEncrypt and AdvanceDecrypt', () => {
  it('give a blob that says all but the AAD', async () => {
    const sealed = await ok('AdvanceEncrypt', { KeyId, Plaintext, Aad })
    const { CiphertextBlob = Buffer.alloc(0), Iv } = sealed.bytes
    expect(CiphertextBlob.subarray(0, 3).toString('hex')).toBe('240002')
    expect(CiphertextBlob.toString('latin1', 3, 39)).toBe(sealed.text['KeyVersionId'])
    expect(CiphertextBlob.subarray(39, 51)).toEqual(Iv)
    const opened = await ok('AdvanceDecrypt', { CiphertextBlob, Aad })
    expect(opened.bytes['Plaintext']).toEqual(Plaintext)
    expect(opened.text).toMatchObject({ KeyId, Algorithm: 'AES_GCM' })
    const told = await ok('AdvanceDecrypt', { KeyId, CiphertextBlob, Iv, Aad, Algorithm: 'AES_GCM' })
    expect(told.bytes['Plaintext']).toEqual(Plaintext)
    expect(await refused('AdvanceDecrypt', { CiphertextBlob })).toEqual(INVALID)
    expect(await refused('Decrypt', { KeyId, CiphertextBlob, Iv, Aad })).toEqual(INVALID)
  })

  it('refuse a blob of another key than the one named, and of another account', async () => {
    const { CiphertextBlob } = (await ok('AdvanceEncrypt', { KeyId, Plaintext })).bytes
    const other = (await fixture.newKey()).keyId
    expect(await refused('AdvanceDecrypt', { CiphertextBlob, KeyId: other })).toEqual(INVALID)
    expect((await ok('AdvanceDecrypt', { CiphertextBlob, KeyId })).bytes['Plaintext']).toEqual(Plaintext)
    const mallory = await fixture.mallory.call('AdvanceDecrypt', { CiphertextBlob })
    expect([mallory.status, mallory.text['ErrorCode']]).toEqual([404, 'Forbidden.KeyNotFound'])
  })

  it('open what another API sealed, as that API presents it', async () => {
    const key = { kind: 'id', keyId: KeyId } as const
    const native = await fixture.kms.encrypt(call(), { key, plaintext: Plaintext })
    const opened = await ok('AdvanceDecrypt', { CiphertextBlob: native.blob })
    expect(opened.bytes['Plaintext']).toEqual(Plaintext)
    const style = { layout: 'openapi', presentation: 'base64' } as const
    const dataKey = await fixture.kms.generateDataKey(call(), { key, lengthBytes: 32, style })
    const prefixed = Buffer.concat([Buffer.from('240002', 'hex'), dataKey.blob])
    const text =
      (await ok('AdvanceDecrypt', { CiphertextBlob: prefixed })).bytes['Plaintext'] ?? Buffer.alloc(0)
    expect(text).toEqual(dataKey.plaintext)
    expect(Buffer.from(text.toString('latin1'), 'base64')).toHaveLength(32)
  })

  it('give blobs that open through the other APIs', async () => {
    const { CiphertextBlob = Buffer.alloc(0) } = (await ok('AdvanceEncrypt', { KeyId, Plaintext })).bytes
    for (const blob of [CiphertextBlob, CiphertextBlob.subarray(3)]) {
      expect((await fixture.kms.decrypt(call(), { blob })).plaintext).toEqual(Plaintext)
    }
    const plain = (await ok('Encrypt', { KeyId, Plaintext })).bytes
    const { primaryVersionId } = await fixture.kms.describeKey(call(), { kind: 'id', keyId: KeyId })
    const parts = [Buffer.from(primaryVersionId), plain['Iv'], plain['CiphertextBlob']] as Buffer[]
    expect((await fixture.kms.decrypt(call(), { blob: Buffer.concat(parts) })).plaintext).toEqual(Plaintext)
  })
})

describe('data keys', () => {
  it.each(['GenerateDataKey', 'AdvanceGenerateDataKey'])(
    '%s gives the key and its ciphertext',
    async (api) => {
      for (const NumberOfBytes of [1, 32, 1024]) {
        const { bytes, text } = await ok(api, { KeyId, NumberOfBytes, Aad })
        expect(bytes['Plaintext']).toHaveLength(NumberOfBytes)
        expect(text).toMatchObject({ KeyId, Algorithm: 'AES_GCM' })
        const { CiphertextBlob, Iv } = bytes
        const opened =
          api === 'GenerateDataKey'
            ? await ok('Decrypt', { KeyId, CiphertextBlob, Iv, Aad })
            : await ok('AdvanceDecrypt', { CiphertextBlob, Aad })
        expect(opened.bytes['Plaintext']).toEqual(bytes['Plaintext'])
      }
      expect(await refused(api, { KeyId })).toEqual(missing('NumberOfBytes'))
      expect(await refused(api, { KeyId, NumberOfBytes: 1025 })).toEqual(INVALID)
      expect(await refused(api, { KeyId, NumberOfBytes: -5 })).toEqual(INVALID)
      expect(await refused(api, { NumberOfBytes: 1 })).toEqual(missing('KeyId'))
    },
  )
})

describe('keys that cannot be used', () => {
  const notFound = [404, 'Forbidden.KeyNotFound', 'The specified Key is not found.']

  it('that are not there, or are somebody else’s', async () => {
    expect(await refused('Encrypt', { KeyId: randomUUID(), Plaintext })).toEqual(notFound)
    expect(await refused('Encrypt', { KeyId: 'no key id', Plaintext })).toEqual(notFound)
    expect(await refused('Encrypt', { KeyId: 'x'.repeat(100_000), Plaintext })).toEqual(notFound)
    const alias = [404, 'Forbidden.AliasNotFound', 'The specified Alias is not found.']
    expect(await refused('Encrypt', { KeyId: 'alias/none', Plaintext })).toEqual(alias)
    expect(await refused('Encrypt', { KeyId: 'alias/\u0000', Plaintext })).toEqual(alias)
    const mallory = await fixture.mallory.call('Encrypt', { KeyId, Plaintext })
    expect([mallory.status, mallory.text['ErrorCode']]).toEqual([404, 'Forbidden.KeyNotFound'])
  })

  it('in states that forbid it', async () => {
    const sealed = (await ok('AdvanceEncrypt', { KeyId, Plaintext })).bytes
    const rejected = (state: string) => [
      409,
      `Rejected.${state}`,
      `The request was rejected because the key state is ${state}.`,
    ]
    await fixture.kms.disableKey(call(), KeyId)
    expect(await refused('Encrypt', { KeyId, Plaintext })).toEqual(rejected('Disabled'))
    expect(await refused('GenerateDataKey', { KeyId, NumberOfBytes: 1 })).toEqual(rejected('Disabled'))
    const { CiphertextBlob } = sealed
    expect(await refused('AdvanceDecrypt', { CiphertextBlob })).toEqual(rejected('Disabled'))
    await fixture.kms.scheduleKeyDeletion(call(), KeyId, 7)
    expect(await refused('AdvanceEncrypt', { KeyId, Plaintext })).toEqual(rejected('PendingDeletion'))
    expect(await refused('AdvanceDecrypt', { CiphertextBlob })).toEqual(rejected('PendingDeletion'))
  })

  it('that the access point does not allow', async () => {
    const limited = instanceFixture({ keyIds: new Set([randomUUID()]) })
    const { keyId } = await limited.newKey()
    const answer = await limited.alice.call('Encrypt', { KeyId: keyId, Plaintext })
    expect([answer.status, answer.text['ErrorCode']]).toEqual([403, 'Forbidden.NoPermission'])
    expect((await limited.alice.call('GenerateRandom', { Length: 1 })).status).toBe(200)
    const nothing = instanceFixture({ keyIds: new Set() })
    expect((await nothing.alice.call('GenerateRandom', { Length: 1 })).status).toBe(403)
  })

  it('whose versions have sealed as often as they may', async () => {
    fixture = instanceFixture({ gcm: { invocationsMax: 2, leaseInvocations: 1 } })
    KeyId = (await fixture.newKey()).keyId
    const { CiphertextBlob } = (await ok('AdvanceEncrypt', { KeyId, Plaintext })).bytes
    await ok('Encrypt', { KeyId, Plaintext, Iv: Buffer.alloc(12, 1) })
    expect((await refused('Encrypt', { KeyId, Plaintext })).slice(0, 2)).toEqual([
      409,
      'Rejected.Unavailable',
    ])
    await ok('AdvanceDecrypt', { CiphertextBlob })
  })
})
