import {
  CreateGrantCommand,
  CreateKeyCommand,
  DryRunOperationException,
  EncryptCommand,
  GenerateDataKeyCommand,
  GetKeyLastUsageCommand,
  GetKeyPolicyCommand,
  InvalidGrantTokenException,
  ListGrantsCommand,
  ListResourceTagsCommand,
  PutKeyPolicyCommand,
  RetireGrantCommand,
  TagResourceCommand,
  UpdateKeyDescriptionCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, it } from 'vitest'
import { restartingGateway } from './restarting-gateway.ts'

describe('what belongs to keys, in the built program', () => {
  const { client, restart } = restartingGateway()

  it('is there after a restart: tags, policy, description, grants and their tokens', async () => {
    const Tags = [{ TagKey: 'team', TagValue: 'payments' }]
    const { KeyMetadata } = await client().send(new CreateKeyCommand({ Tags }))
    const { KeyId = '', AWSAccountId } = KeyMetadata ?? {}
    const root = `arn:aws:iam::${AWSAccountId}:root`
    const Statement = [{ Effect: 'Allow', Principal: { AWS: root }, Action: 'kms:*', Resource: '*' }]
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    await client().send(new PutKeyPolicyCommand({ KeyId, Policy }))
    await client().send(new TagResourceCommand({ KeyId, Tags: [{ TagKey: 'level', TagValue: '2' }] }))
    await client().send(new UpdateKeyDescriptionCommand({ KeyId, Description: 'of payments' }))
    const terms = { KeyId, GranteePrincipal: root, Operations: ['Decrypt' as const], Name: 'once' }
    const { GrantId, GrantToken = '' } = await client().send(new CreateGrantCommand(terms))
    await restart()
    const tags = await client().send(new ListResourceTagsCommand({ KeyId }))
    expect(tags.Tags?.map(({ TagKey, TagValue }) => `${TagKey}=${TagValue}`)).toEqual([
      'level=2',
      'team=payments',
    ])
    expect((await client().send(new GetKeyPolicyCommand({ KeyId }))).Policy).toBe(Policy)
    expect((await client().send(new CreateGrantCommand(terms))).GrantId).toBe(GrantId)
    const sealed = { KeyId, Plaintext: Buffer.from('x'), GrantTokens: [GrantToken] }
    await client().send(new EncryptCommand(sealed))
    await client().send(new RetireGrantCommand({ GrantToken }))
    expect((await client().send(new ListGrantsCommand({ KeyId }))).Grants).toEqual([])
    await expect(client().send(new EncryptCommand(sealed))).rejects.toThrow(InvalidGrantTokenException)
  })

  it('says what a key was last used for, also after a restart, and counts no dry run', async () => {
    const { KeyMetadata } = await client().send(new CreateKeyCommand({}))
    const { KeyId = '' } = KeyMetadata ?? {}
    const last = async () => (await client().send(new GetKeyLastUsageCommand({ KeyId }))).KeyLastUsage
    const dry = new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', DryRun: true })
    await expect(client().send(dry)).rejects.toThrow(DryRunOperationException)
    expect(await last()).toEqual({})
    const { $metadata } = await client().send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
    const expected = { Operation: 'GenerateDataKey', KmsRequestId: $metadata.requestId }
    const before = await last()
    expect(before).toMatchObject(expected)
    await restart()
    expect(await last()).toEqual(before)
  })
})
