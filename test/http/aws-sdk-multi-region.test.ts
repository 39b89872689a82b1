import {
  AlreadyExistsException,
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  DisabledException,
  DisableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateMacCommand,
  GetKeyPolicyCommand,
  GetPublicKeyCommand,
  type KeyMetadata,
  KMSClient,
  ListResourceTagsCommand,
  NotFoundException,
  paginateListKeys,
  ReplicateKeyCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
  SignCommand,
  UnsupportedOperationException,
  UpdatePrimaryRegionCommand,
  VerifyCommand,
  VerifyMacCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ALICE } from '../support/kms-fixture.ts'
import { ALICE_KEY, awsFixture } from './aws-fixture.ts'

const [HOME, AWAY, THIRD] = ['us-east-1', 'eu-central-1', 'ap-northeast-3']

describe('multi-region keys through the unmodified @aws-sdk/client-kms', () => {
  const fixture = awsFixture()
  const clients = new Map<string, KMSClient>()

  beforeAll(async () => {
    const endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
    for (const region of [HOME, AWAY, THIRD])
      clients.set(region, new KMSClient({ endpoint, region, credentials: { ...ALICE_KEY }, maxAttempts: 1 }))
  })
  afterAll(async () => {
    for (const client of clients.values()) client.destroy()
    await fixture.server.close()
  })

  function at(region: string): KMSClient {
    const client = clients.get(region)
    if (!client) throw new Error(`no client in ${region}`)
    return client
  }

  const arn = (region: string, id: string) => `arn:aws:kms:${region}:${ALICE.accountId}:key/${id}`

  async function newKey(): Promise<string> {
    const made = await at(HOME).send(new CreateKeyCommand({ MultiRegion: true, Description: 'at home' }))
    return made.KeyMetadata?.KeyId ?? ''
  }

  async function replicate(KeyId: string, ReplicaRegion: string): Promise<KeyMetadata | undefined> {
    const command = new ReplicateKeyCommand({ KeyId, ReplicaRegion, Description: 'there' })
    return (await at(HOME).send(command)).ReplicaKeyMetadata
  }

  async function describeIn(region: string, KeyId: string): Promise<KeyMetadata | undefined> {
    return (await at(region).send(new DescribeKeyCommand({ KeyId }))).KeyMetadata
  }

  it('tells of a new key that it is the primary one and has no replica', async () => {
    const { KeyMetadata } = await at(HOME).send(new CreateKeyCommand({ MultiRegion: true }))
    const id = KeyMetadata?.KeyId ?? ''
    expect(id).toMatch(/^mrk-[0-9a-f]{32}$/)
    expect(KeyMetadata).toMatchObject({
      MultiRegion: true,
      KeyState: 'Enabled',
      MultiRegionConfiguration: {
        MultiRegionKeyType: 'PRIMARY',
        PrimaryKey: { Arn: arn(HOME, id), Region: HOME },
        ReplicaKeys: [],
      },
    })
  })

  it('gives a replica tags and a policy of its own, or the default policy', async () => {
    const Statement = { Effect: 'Allow', Principal: { AWS: ALICE.accountId }, Action: 'kms:*', Resource: '*' }
    const Policy = JSON.stringify({ Statement })
    const Tags = [{ TagKey: 'of', TagValue: 'the replica' }]
    const { KeyMetadata } = await at(HOME).send(
      new CreateKeyCommand({ MultiRegion: true, Tags: [{ TagKey: 'of', TagValue: 'the primary' }] }),
    )
    const KeyId = KeyMetadata?.KeyId ?? ''
    const made = await at(HOME).send(new ReplicateKeyCommand({ KeyId, ReplicaRegion: AWAY, Policy, Tags }))
    expect(made).toMatchObject({ ReplicaPolicy: Policy, ReplicaTags: Tags })
    const plain = await at(HOME).send(new ReplicateKeyCommand({ KeyId, ReplicaRegion: THIRD }))
    expect(plain.ReplicaTags).toEqual([])
    expect(plain.ReplicaPolicy).toContain('key-default-1')
    const policyIn = async (region: string) =>
      (await at(region).send(new GetKeyPolicyCommand({ KeyId }))).Policy
    expect(await policyIn(AWAY)).toBe(Policy)
    expect(await policyIn(THIRD)).toBe(plain.ReplicaPolicy)
    expect(await policyIn(HOME)).toBe(plain.ReplicaPolicy)
    const tagsIn = async (region: string) =>
      (await at(region).send(new ListResourceTagsCommand({ KeyId }))).Tags
    expect(await tagsIn(AWAY)).toEqual(Tags)
    expect(await tagsIn(THIRD)).toEqual([])
    expect(await tagsIn(HOME)).toEqual([{ TagKey: 'of', TagValue: 'the primary' }])
  })

  it('says of a key of one region that it is', async () => {
    const { KeyMetadata } = await at(HOME).send(new CreateKeyCommand({}))
    expect(KeyMetadata?.MultiRegion).toBe(false)
    expect(KeyMetadata?.MultiRegionConfiguration).toBeUndefined()
    const command = new ReplicateKeyCommand({ KeyId: KeyMetadata?.KeyId, ReplicaRegion: AWAY })
    await expect(at(HOME).send(command)).rejects.toThrow(
      `${KeyMetadata?.Arn} is not a multi-region primary key.`,
    )
  })

  it('shows the same regions from each of them', async () => {
    const id = await newKey()
    const replica = await replicate(id, THIRD)
    await replicate(id, AWAY)
    const configuration = {
      PrimaryKey: { Arn: arn(HOME, id), Region: HOME },
      ReplicaKeys: [
        { Arn: arn(THIRD, id), Region: THIRD },
        { Arn: arn(AWAY, id), Region: AWAY },
      ],
    }
    expect(replica).toMatchObject({ Arn: arn(THIRD, id), KeyId: id, Description: 'there', MultiRegion: true })
    for (const region of [HOME, AWAY, THIRD]) {
      const MultiRegionKeyType = region === HOME ? 'PRIMARY' : 'REPLICA'
      expect(await describeIn(region, id)).toMatchObject({
        Arn: arn(region, id),
        CurrentKeyMaterialId: replica?.CurrentKeyMaterialId,
        MultiRegionConfiguration: { MultiRegionKeyType, ...configuration },
      })
      const listed: (string | undefined)[] = []
      for await (const page of paginateListKeys({ client: at(region) }, {}))
        listed.push(...(page.Keys ?? []).map((key) => key.KeyArn))
      expect(listed).toContain(arn(region, id))
    }
  })

  it('opens in every region what one of them sealed, before and after a rotation', async () => {
    const id = await newKey()
    await replicate(id, AWAY)
    const EncryptionContext = { purpose: 'test' }
    const made = await at(HOME).send(
      new GenerateDataKeyCommand({ KeyId: id, KeySpec: 'AES_256', EncryptionContext }),
    )
    await at(HOME).send(new RotateKeyOnDemandCommand({ KeyId: id }))
    const { CiphertextBlob } = made
    const opened = await at(AWAY).send(new DecryptCommand({ CiphertextBlob, EncryptionContext }))
    expect(opened).toMatchObject({
      KeyId: arn(AWAY, id),
      Plaintext: made.Plaintext,
      KeyMaterialId: made.KeyMaterialId,
    })
    const sealed = await at(AWAY).send(
      new EncryptCommand({ KeyId: arn(AWAY, id), Plaintext: Buffer.from('x'), EncryptionContext }),
    )
    const back = await at(HOME).send(
      new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob, KeyId: id, EncryptionContext }),
    )
    expect(Buffer.from(back.Plaintext ?? []).toString()).toBe('x')
    expect(back.KeyMaterialId).not.toBe(made.KeyMaterialId)
    expect((await describeIn(AWAY, id))?.CurrentKeyMaterialId).toBe(back.KeyMaterialId)
  })

  it('signs in one region what another verifies, and authenticates alike', async () => {
    const spec = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY', MultiRegion: true } as const
    const pair = (await at(HOME).send(new CreateKeyCommand(spec))).KeyMetadata?.KeyId ?? ''
    await replicate(pair, AWAY)
    const signing = { KeyId: pair, Message: Buffer.from('x'), SigningAlgorithm: 'ECDSA_SHA_256' } as const
    const { Signature } = await at(HOME).send(new SignCommand(signing))
    const verified = await at(AWAY).send(new VerifyCommand({ ...signing, Signature }))
    expect(verified).toMatchObject({ SignatureValid: true, KeyId: arn(AWAY, pair) })
    const publicKeys = [HOME, AWAY].map((region) => at(region).send(new GetPublicKeyCommand({ KeyId: pair })))
    const [home, away] = await Promise.all(publicKeys)
    expect(away?.PublicKey).toEqual(home?.PublicKey)
    const macSpec = { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC', MultiRegion: true } as const
    const macKey = (await at(HOME).send(new CreateKeyCommand(macSpec))).KeyMetadata?.KeyId ?? ''
    await replicate(macKey, AWAY)
    const input = { KeyId: macKey, Message: Buffer.from('x'), MacAlgorithm: 'HMAC_SHA_256' } as const
    const { Mac } = await at(AWAY).send(new GenerateMacCommand(input))
    expect((await at(HOME).send(new VerifyMacCommand({ ...input, Mac }))).MacValid).toBe(true)
  })

  it('has the primary key move', async () => {
    const id = await newKey()
    await replicate(id, AWAY)
    await at(HOME).send(new UpdatePrimaryRegionCommand({ KeyId: id, PrimaryRegion: AWAY }))
    for (const region of [HOME, AWAY])
      expect((await describeIn(region, id))?.MultiRegionConfiguration).toEqual({
        MultiRegionKeyType: region === AWAY ? 'PRIMARY' : 'REPLICA',
        PrimaryKey: { Arn: arn(AWAY, id), Region: AWAY },
        ReplicaKeys: [{ Arn: arn(HOME, id), Region: HOME }],
      })
    const again = at(HOME).send(new ReplicateKeyCommand({ KeyId: id, ReplicaRegion: THIRD }))
    await expect(again).rejects.toThrow(UnsupportedOperationException)
    await expect(again).rejects.toThrow(`${arn(HOME, id)} is not a multi-region primary key.`)
  })

  it('refuses what cannot be replicated', async () => {
    const id = await newKey()
    await replicate(id, AWAY)
    await expect(replicate(id, AWAY)).rejects.toThrow(AlreadyExistsException)
    await expect(replicate(id, AWAY)).rejects.toThrow(arn(AWAY, id))
    await expect(replicate(id, 'eu-west-9')).rejects.toThrow('The region eu-west-9 is not served here.')
    const nowhere = at(HOME).send(new UpdatePrimaryRegionCommand({ KeyId: id, PrimaryRegion: THIRD }))
    await expect(nowhere).rejects.toThrow(NotFoundException)
    await expect(nowhere).rejects.toThrow(`Key '${arn(THIRD, id)}' does not exist`)
    await at(AWAY).send(new DisableKeyCommand({ KeyId: id }))
    const disabled = at(HOME).send(new UpdatePrimaryRegionCommand({ KeyId: id, PrimaryRegion: AWAY }))
    await expect(disabled).rejects.toThrow(DisabledException)
    await expect(disabled).rejects.toThrow(`${arn(AWAY, id)} is disabled.`)
  })

  it('keeps a primary key until its replicas are gone', async () => {
    const id = await newKey()
    await replicate(id, AWAY)
    const gone = await at(HOME).send(new ScheduleKeyDeletionCommand({ KeyId: id, PendingWindowInDays: 9 }))
    expect(gone).toMatchObject({ KeyState: 'PendingReplicaDeletion', PendingWindowInDays: 9 })
    expect(gone.DeletionDate).toBeUndefined()
    expect(await describeIn(HOME, id)).toMatchObject({
      KeyState: 'PendingReplicaDeletion',
      PendingDeletionWindowInDays: 9,
      Enabled: false,
    })
    await at(HOME).send(new CancelKeyDeletionCommand({ KeyId: id }))
    expect((await describeIn(HOME, id))?.KeyState).toBe('Disabled')
  })

  it('has aliases of its own in each region', async () => {
    const id = await newKey()
    await replicate(id, AWAY)
    const AliasName = `alias/${id}`
    await at(AWAY).send(new CreateAliasCommand({ AliasName, TargetKeyId: id }))
    expect((await describeIn(AWAY, AliasName))?.Arn).toBe(arn(AWAY, id))
    await expect(describeIn(HOME, AliasName)).rejects.toThrow(NotFoundException)
  })
})
