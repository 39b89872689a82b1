import {
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DeleteAliasCommand,
  DescribeKeyCommand,
  DisabledException,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  GenerateRandomCommand,
  KMSClient,
  NotFoundException,
  paginateListAliases,
  paginateListKeys,
  ReEncryptCommand,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ALICE_KEY, awsFixture } from './aws-fixture.ts'

describe('the unmodified @aws-sdk/client-kms', () => {
  const fixture = awsFixture()
  let client: KMSClient

  beforeAll(async () => {
    const endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
    client = new KMSClient({ endpoint, region: 'us-east-1', credentials: { ...ALICE_KEY }, maxAttempts: 1 })
  })
  afterAll(async () => {
    client.destroy()
    await fixture.server.close()
  })

  async function newKeyArn(): Promise<string> {
    const { KeyMetadata } = await client.send(new CreateKeyCommand({ Description: 'from the SDK' }))
    return KeyMetadata?.Arn ?? ''
  }

  it('makes data keys and decrypts them without naming the key', async () => {
    const KeyId = await newKeyArn()
    const EncryptionContext = { purpose: 'test', ö: 'ü' }
    const made = await client.send(
      new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', EncryptionContext }),
    )
    expect(made.KeyId).toBe(KeyId)
    expect(made.Plaintext).toHaveLength(32)
    expect(made.KeyMaterialId).toMatch(/^[a-f0-9]{64}$/)
    const { CiphertextBlob } = made
    const opened = await client.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }))
    expect(opened).toMatchObject({ KeyId, Plaintext: made.Plaintext, KeyMaterialId: made.KeyMaterialId })
  })

  it('opens a data key that was made without plaintext', async () => {
    const KeyId = await newKeyArn()
    const command = new GenerateDataKeyWithoutPlaintextCommand({ KeyId, NumberOfBytes: 48 })
    const { CiphertextBlob } = await client.send(command)
    const opened = await client.send(new DecryptCommand({ CiphertextBlob, KeyId }))
    expect(opened.Plaintext).toHaveLength(48)
  })

  it('encrypts, re-encrypts and decrypts bytes', async () => {
    const [source, destination] = [await newKeyArn(), await newKeyArn()]
    const Plaintext = Buffer.from('attack at dawn')
    const sealed = await client.send(new EncryptCommand({ KeyId: source, Plaintext }))
    const moved = await client.send(
      new ReEncryptCommand({ CiphertextBlob: sealed.CiphertextBlob, DestinationKeyId: destination }),
    )
    expect(moved).toMatchObject({ SourceKeyId: source, KeyId: destination })
    const opened = await client.send(new DecryptCommand({ CiphertextBlob: moved.CiphertextBlob }))
    expect(Buffer.from(opened.Plaintext ?? [])).toEqual(Plaintext)
    expect(opened.KeyId).toBe(destination)
  })

  it('draws random bytes', async () => {
    const { Plaintext } = await client.send(new GenerateRandomCommand({ NumberOfBytes: 1024 }))
    expect(Plaintext).toHaveLength(1024)
  })

  it('names keys by alias and walks the pages of both listings', async () => {
    const [first, second] = [await newKeyArn(), await newKeyArn()]
    const names = ['alias/a', 'alias/b', 'alias/c']
    for (const AliasName of names) {
      await client.send(new CreateAliasCommand({ AliasName, TargetKeyId: first }))
    }
    const listed: (string | undefined)[] = []
    for await (const page of paginateListAliases({ client, pageSize: 2 }, { KeyId: first })) {
      listed.push(...(page.Aliases ?? []).map((alias) => alias.AliasName))
    }
    expect(listed).toEqual(names)
    const keys: (string | undefined)[] = []
    for await (const page of paginateListKeys({ client, pageSize: 1 }, {})) {
      keys.push(...(page.Keys ?? []).map((key) => key.KeyArn))
    }
    expect(keys).toEqual(expect.arrayContaining([first, second]))
    await client.send(new UpdateAliasCommand({ AliasName: 'alias/a', TargetKeyId: second }))
    const described = await client.send(new DescribeKeyCommand({ KeyId: 'alias/a' }))
    expect(described.KeyMetadata).toMatchObject({ Arn: second, KeyState: 'Enabled', Origin: 'AWS_KMS' })
    await client.send(new DeleteAliasCommand({ AliasName: 'alias/a' }))
    await expect(client.send(new DescribeKeyCommand({ KeyId: 'alias/a' }))).rejects.toThrow(NotFoundException)
  })

  it('sees typed errors and dates through the life of a key', async () => {
    const KeyId = await newKeyArn()
    await client.send(new DisableKeyCommand({ KeyId }))
    const refused = client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
    await expect(refused).rejects.toThrow(DisabledException)
    await expect(refused).rejects.toThrow(`${KeyId} is disabled.`)
    await client.send(new EnableKeyCommand({ KeyId }))
    const gone = await client.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
    expect(gone.DeletionDate?.getTime()).toBeGreaterThan(Date.now() + 6.9 * 86_400_000)
    const back = await client.send(new CancelKeyDeletionCommand({ KeyId }))
    expect(back.KeyId).toBe(KeyId)
    const { KeyMetadata, $metadata } = await client.send(new DescribeKeyCommand({ KeyId }))
    expect(KeyMetadata?.KeyState).toBe('Disabled')
    expect(KeyMetadata?.CreationDate).toBeInstanceOf(Date)
    expect($metadata.requestId).toMatch(/^[0-9a-f-]{36}$/)
  })
})
