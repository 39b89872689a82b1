import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kmsSdk, type SdkCall, sdkCalls } from '../support/alibaba-clients.ts'
import { ALICE_ACS, alibabaFixture, STS_ACS } from './alibaba-fixture.ts'

const CLIENTS = Object.keys(sdkCalls('http://127.0.0.1:1', ALICE_ACS))

/** Everything that an encoder may get wrong: what RFC 3986 reserves and JavaScript does not, spaces, plus signs, UTF-8. */
const HOSTILE = '!\'()*~ +%2B&=#?/\\"<>;:@,|^`{}[] ü€😀 \t%%41'

describe('unmodified clients of npm', () => {
  const fixture = alibabaFixture()
  let clients: Readonly<Record<string, SdkCall>>
  let endpoint: string

  beforeAll(async () => {
    endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
    clients = sdkCalls(endpoint, ALICE_ACS)
  })
  afterAll(() => fixture.server.close())

  const using = (name: string): SdkCall => clients[name] ?? expect.fail(name)

  describe.each(CLIENTS)('%s', (name) => {
    it('makes a data key and opens it with its context, hostile characters and all', async () => {
      const request = using(name)
      const { KeyMetadata } = await request('CreateKey', { Description: HOSTILE })
      const { KeyId } = KeyMetadata as { KeyId: string }
      const described = await request('DescribeKey', { KeyId })
      expect(described).toMatchObject({ KeyMetadata: { Description: HOSTILE, KeyState: 'Enabled' } })
      const EncryptionContext = JSON.stringify({ [HOSTILE]: HOSTILE, empty: '' })
      const made = await request('GenerateDataKey', { KeyId, EncryptionContext })
      expect(made).toMatchObject({ KeyId, KeyVersionId: expect.stringMatching(/^[\da-f-]{36}$/) })
      const opened = await request('Decrypt', {
        CiphertextBlob: String(made['CiphertextBlob']),
        EncryptionContext,
      })
      expect(opened).toMatchObject({ Plaintext: made['Plaintext'], KeyId, RequestId: expect.any(String) })
    })

    it('encrypts a hostile text and takes an empty and an unknown parameter for none', async () => {
      const request = using(name)
      const { keyId: KeyId } = await fixture.newKey()
      const sealed = await request('Encrypt', {
        KeyId,
        Plaintext: HOSTILE,
        EncryptionContext: '',
        DryRun: '',
        NoSuchParameter: HOSTILE,
      })
      const opened = await request('Decrypt', { CiphertextBlob: String(sealed['CiphertextBlob']) })
      expect(opened['Plaintext']).toBe(HOSTILE)
    })

    it('is told of an error by its code', async () => {
      const { keyId: KeyId } = await fixture.newKey()
      await using(name)('DisableKey', { KeyId })
      const error: unknown = await using(name)('GenerateDataKey', { KeyId }).catch(
        (reason: unknown) => reason,
      )
      expect(error).toMatchObject({ code: 'Rejected.Disabled' })
      expect((error as Error).message).toContain('the key state is Disabled.')
    })

    it('is refused with a wrong secret, by the code that clients know', async () => {
      const wrong = sdkCalls(endpoint, { ...ALICE_ACS, accessKeySecret: 'another secret' })[name]
      await expect(wrong?.('ListKeys', {})).rejects.toMatchObject({
        code: expect.stringMatching(/^SignatureDoesNotMatch/),
      })
    })

    it('is taken with a security token', async () => {
      const session = sdkCalls(endpoint, STS_ACS)[name]
      expect(await session?.('ListKeys', {})).toMatchObject({ PageNumber: 1, PageSize: 10 })
    })
  })

  it('the typed client of KMS lives through the life of a key', async () => {
    const { client, requests } = kmsSdk(endpoint, ALICE_ACS)
    const { keyMetadata } = await client.createKey(new requests.CreateKeyRequest({ description: 'typed' }))
    const { keyId } = keyMetadata
    const made = await client.generateDataKey(
      new requests.GenerateDataKeyRequest({ keyId, numberOfBytes: 48, keySpec: 'AES_128' }),
    )
    expect(Buffer.from(made.plaintext, 'base64')).toHaveLength(48)
    const opened = await client.decrypt(new requests.DecryptRequest({ ciphertextBlob: made.ciphertextBlob }))
    expect(opened).toMatchObject({ plaintext: made.plaintext, keyId, keyVersionId: made.keyVersionId })
    const inside = await client.generateDataKeyWithoutPlaintext(
      new requests.GenerateDataKeyWithoutPlaintextRequest({ keyId, keySpec: 'AES_128' }),
    )
    const key = await client.decrypt(new requests.DecryptRequest({ ciphertextBlob: inside.ciphertextBlob }))
    expect(Buffer.from(key.plaintext, 'base64')).toHaveLength(16)
    await client.createAlias(new requests.CreateAliasRequest({ keyId, aliasName: 'alias/typed' }))
    const listed = await client.listAliases(new requests.ListAliasesRequest({}))
    expect(listed.aliases.alias).toEqual([expect.objectContaining({ aliasName: 'alias/typed', keyId })])
    await client.scheduleKeyDeletion(
      new requests.ScheduleKeyDeletionRequest({ keyId, pendingWindowInDays: 7 }),
    )
    await expect(
      client.encrypt(new requests.EncryptRequest({ keyId: 'alias/typed', plaintext: 'eA==' })),
    ).rejects.toMatchObject({ code: 'Rejected.PendingDeletionError' })
    await client.cancelKeyDeletion(new requests.CancelKeyDeletionRequest({ keyId }))
    const sealed = await client.encrypt(
      new requests.EncryptRequest({ keyId: 'alias/typed', plaintext: 'eA==' }),
    )
    expect(sealed.keyId).toBe(keyId)
  })
})
