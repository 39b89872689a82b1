import {
  buildAwsKmsMrkAwareDiscoveryMultiKeyringNode,
  buildAwsKmsMrkAwareStrictMultiKeyringNode,
  buildClient,
  CommitmentPolicy,
  KmsKeyringNode,
} from '@aws-crypto/client-node'
import { KMS } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ALICE } from '../support/kms-fixture.ts'
import { ALICE_KEY, awsFixture } from './aws-fixture.ts'

const [HOME, AWAY] = ['us-east-1', 'eu-central-1']
const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)

const fixture = awsFixture()
const clients = new Map<string, KMS>()
beforeAll(async () => {
  const endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
  for (const region of [HOME, AWAY])
    clients.set(region, new KMS({ endpoint, region, credentials: { ...ALICE_KEY }, maxAttempts: 1 }))
})
afterAll(async () => {
  for (const client of clients.values()) client.destroy()
  await fixture.server.close()
})

const clientProvider = (region: string) => clients.get(region) ?? false
const home = () => clients.get(HOME) ?? expect.fail()
const textOf = async (opened: ReturnType<typeof decrypt>) => (await opened).plaintext.toString()

it('the AWS Encryption SDK opens in one region what it sealed in another, and goes on after a rotation', async () => {
  const { KeyMetadata } = await home().createKey({ MultiRegion: true })
  const [KeyId = '', primary = ''] = [KeyMetadata?.KeyId, KeyMetadata?.Arn]
  await home().replicateKey({ KeyId, ReplicaRegion: AWAY })
  const strict = (generatorKeyId: string) =>
    buildAwsKmsMrkAwareStrictMultiKeyringNode({ generatorKeyId, clientProvider: clientProvider as never })
  const { result } = await encrypt(strict(primary), 'a message', { encryptionContext: { purpose: 'test' } })
  const replica = strict(primary.replace(HOME, AWAY))
  expect(await textOf(decrypt(replica, result))).toBe('a message')
  const discovery = buildAwsKmsMrkAwareDiscoveryMultiKeyringNode({
    clientProvider: clientProvider as never,
    regions: [AWAY],
    discoveryFilter: { accountIDs: [ALICE.accountId], partition: 'aws' },
  })
  expect(await textOf(decrypt(discovery, result))).toBe('a message')
  await home().rotateKeyOnDemand({ KeyId })
  expect(await textOf(decrypt(replica, result))).toBe('a message')
  const later = await encrypt(replica, 'another')
  expect(await textOf(decrypt(strict(primary), later.result))).toBe('another')
})

it('the AWS Encryption SDK opens with whichever key of several may be used', async () => {
  const [first, second] = await Promise.all([home().createKey({}), home().createKey({})])
  const [generatorKeyId = '', other = ''] = [first.KeyMetadata?.Arn, second.KeyMetadata?.Arn]
  const keyring = new KmsKeyringNode({
    generatorKeyId,
    keyIds: [other],
    clientProvider: clientProvider as never,
  })
  const { result } = await encrypt(keyring, 'a message')
  await home().disableKey({ KeyId: generatorKeyId })
  expect(await textOf(decrypt(keyring, result))).toBe('a message')
  await home().disableKey({ KeyId: other })
  await expect(decrypt(keyring, result)).rejects.toThrow('is disabled')
})
