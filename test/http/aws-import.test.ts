import { randomBytes } from 'node:crypto'
import {
  CancelKeyDeletionCommand,
  CreateKeyCommand,
  DecryptCommand,
  DeleteImportedKeyMaterialCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  ExpirationModelType,
  GetKeyRotationStatusCommand,
  GetParametersForImportCommand,
  type GetParametersForImportCommandInput,
  ImportKeyMaterialCommand,
  type ImportKeyMaterialCommandInput,
  ImportType,
  type KMSClient,
  ListKeyRotationsCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WRAPPING_ALGORITHMS, type WrappingAlgorithm } from '../../src/core/ports/import-store.ts'
import { wrapMaterial } from '../support/wrap-material.ts'
import { sdkFixture } from './sdk-fixture.ts'

const DAY = 86_400_000

describe('imported key material, through the unmodified @aws-sdk/client-kms', () => {
  const fixture = sdkFixture()
  let client: KMSClient
  let KeyId: string
  let arn: string
  let material: Buffer

  beforeAll(() => {
    client = fixture.clients.alice
  })
  beforeEach(async () => {
    const { KeyMetadata } = await client.send(new CreateKeyCommand({ Origin: 'EXTERNAL' }))
    KeyId = KeyMetadata?.KeyId ?? ''
    arn = KeyMetadata?.Arn ?? ''
    material = randomBytes(32)
  })

  const parameters = (input: Partial<GetParametersForImportCommandInput> = {}) =>
    client.send(
      new GetParametersForImportCommand({
        KeyId,
        WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
        WrappingKeySpec: 'RSA_2048',
        ...input,
      }),
    )

  async function bring(bytes = material, input: Partial<ImportKeyMaterialCommandInput> = {}) {
    const { ImportToken, PublicKey } = await parameters()
    const EncryptedKeyMaterial = wrapMaterial('RSAES_OAEP_SHA_256', PublicKey ?? Buffer.alloc(0), bytes)
    const ExpirationModel = ExpirationModelType.KEY_MATERIAL_DOES_NOT_EXPIRE
    return client.send(
      new ImportKeyMaterialCommand({ KeyId, ImportToken, EncryptedKeyMaterial, ExpirationModel, ...input }),
    )
  }

  const describeKey = async () => (await client.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata
  const encrypt = async () =>
    (await client.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('kept') }))).CiphertextBlob
  const decrypt = async (CiphertextBlob: Uint8Array | undefined) =>
    Buffer.from((await client.send(new DecryptCommand({ CiphertextBlob }))).Plaintext ?? []).toString()

  it('waits for its material, is enabled by it, and tells of it', async () => {
    const before = await describeKey()
    expect(before).toMatchObject({ Origin: 'EXTERNAL', KeyState: 'PendingImport', Enabled: false })
    expect(before).not.toHaveProperty('CurrentKeyMaterialId')
    await expect(encrypt()).rejects.toMatchObject({
      name: 'KMSInvalidStateException',
      message: `${arn} is pending import.`,
    })
    const imported = await bring()
    expect(imported).toMatchObject({ KeyId: arn, KeyMaterialId: expect.stringMatching(/^[a-f0-9]{64}$/) })
    expect(await describeKey()).toMatchObject({
      KeyState: 'Enabled',
      ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      CurrentKeyMaterialId: imported.KeyMaterialId,
    })
    const blob = await encrypt()
    const removed = await client.send(new DeleteImportedKeyMaterialCommand({ KeyId }))
    expect(removed).toMatchObject({ KeyId: arn, KeyMaterialId: imported.KeyMaterialId })
    expect(await describeKey()).toMatchObject({ KeyState: 'PendingImport' })
    expect((await bring()).KeyMaterialId).toBe(imported.KeyMaterialId)
    expect(await decrypt(blob)).toBe('kept')
  })

  it.each(WRAPPING_ALGORITHMS.map((algorithm) => [algorithm]))(
    'takes material that is wrapped with %s',
    async (algorithm: WrappingAlgorithm) => {
      const answer = await parameters({ WrappingAlgorithm: algorithm, WrappingKeySpec: 'RSA_3072' })
      expect(answer.KeyId).toBe(arn)
      const lasts = ((answer.ParametersValidTo?.getTime() ?? 0) - fixture.clock.now()) / DAY
      expect(lasts).toBeCloseTo(1, 2)
      const EncryptedKeyMaterial = wrapMaterial(algorithm, answer.PublicKey ?? Buffer.alloc(0), material)
      const { ImportToken } = answer
      const ExpirationModel = 'KEY_MATERIAL_DOES_NOT_EXPIRE'
      await client.send(
        new ImportKeyMaterialCommand({ KeyId, ImportToken, EncryptedKeyMaterial, ExpirationModel }),
      )
      expect(await decrypt(await encrypt())).toBe('kept')
    },
  )

  it('expires at the moment that it tells, before any round of maintenance', async () => {
    const ValidTo = new Date(Math.ceil(fixture.clock.now() / 1000) * 1000 + 60_000)
    await bring(material, { ExpirationModel: undefined, ValidTo })
    expect(await describeKey()).toMatchObject({ ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo })
    const blob = await encrypt()
    fixture.clock.advance(62_000)
    const pending = { name: 'KMSInvalidStateException', message: `${arn} is pending import.` }
    await expect(encrypt()).rejects.toMatchObject(pending)
    await expect(decrypt(blob)).rejects.toMatchObject(pending)
    expect(await describeKey()).toMatchObject({ KeyState: 'PendingImport' })
    expect(await describeKey()).not.toHaveProperty('ValidTo')
    fixture.clock.advance(-62_000)
  })

  it('has several materials, one of which waits until it is rotated to', async () => {
    const first = await bring(material, { KeyMaterialDescription: 'the first' })
    const blob = await encrypt()
    const NEW = { ImportType: ImportType.NEW_KEY_MATERIAL }
    const second = await bring(randomBytes(32), NEW)
    const list = async () => {
      const IncludeKeyMaterial = 'ALL_KEY_MATERIAL' as const
      const { Rotations } = await client.send(new ListKeyRotationsCommand({ KeyId, IncludeKeyMaterial }))
      return Rotations
    }
    expect(await list()).toMatchObject([
      {
        KeyMaterialId: first.KeyMaterialId,
        KeyMaterialState: 'CURRENT',
        ImportState: 'IMPORTED',
        KeyMaterialDescription: 'the first',
        ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      },
      { KeyMaterialId: second.KeyMaterialId, KeyMaterialState: 'PENDING_ROTATION', ImportState: 'IMPORTED' },
    ])
    await expect(bring(randomBytes(32), NEW)).rejects.toMatchObject({
      name: 'KMSInvalidStateException',
      message: expect.stringMatching(
        new RegExp(
          `^New key material \\(id: [a-f0-9]{64}\\) cannot be imported into KMS key ${KeyId}, because another key material \\(id: ${second.KeyMaterialId}\\) is pending rotation\\.$`,
        ),
      ),
    })
    await client.send(new RotateKeyOnDemandCommand({ KeyId }))
    expect(await decrypt(blob)).toBe('kept')
    const blobs = [blob, await encrypt()]
    const gone = { KeyId, KeyMaterialId: first.KeyMaterialId }
    await client.send(new DeleteImportedKeyMaterialCommand(gone))
    expect(await list()).toMatchObject([
      { KeyMaterialState: 'NON_CURRENT', ImportState: 'PENDING_IMPORT' },
      { KeyMaterialState: 'CURRENT', ImportState: 'IMPORTED', RotationType: 'ON_DEMAND' },
    ])
    expect(await describeKey()).toMatchObject({ KeyState: 'PendingImport' })
    await bring(material, { KeyMaterialId: first.KeyMaterialId })
    for (const one of blobs) expect(await decrypt(one)).toBe('kept')
    await expect(client.send(new RotateKeyOnDemandCommand({ KeyId }))).rejects.toMatchObject({
      name: 'KMSInvalidStateException',
      message: `No available key material pending rotation for the key: ${arn}.`,
    })
  })

  it('refuses what is not what it says, each with its name', async () => {
    await bring()
    await expect(bring(randomBytes(32))).rejects.toMatchObject({ name: 'IncorrectKeyMaterialException' })
    const { ImportToken } = await parameters()
    const sent = {
      KeyId,
      ImportToken,
      EncryptedKeyMaterial: randomBytes(256),
      ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
    } as const
    const send = (input: Partial<ImportKeyMaterialCommandInput>) =>
      client.send(new ImportKeyMaterialCommand({ ...sent, ...input }))
    await expect(send({})).rejects.toMatchObject({ name: 'InvalidCiphertextException' })
    await expect(send({ ImportToken: randomBytes(49) })).rejects.toMatchObject({
      name: 'InvalidImportTokenException',
    })
    await expect(send({ ExpirationModel: undefined })).rejects.toMatchObject({
      name: 'ValidationException',
      message: 'A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES',
    })
    await expect(send({ ValidTo: new Date() })).rejects.toMatchObject({ name: 'ValidationException' })
    const far = { ExpirationModel: undefined, ValidTo: new Date(Date.now() + 400 * DAY) }
    await expect(send(far)).rejects.toMatchObject({ name: 'ValidationException' })
    const both = { ImportType: ImportType.NEW_KEY_MATERIAL, KeyMaterialId: 'a'.repeat(64) }
    await expect(send(both)).rejects.toMatchObject({ name: 'ValidationException' })
    const { KeyMetadata } = await client.send(new CreateKeyCommand({ Origin: 'EXTERNAL' }))
    await expect(send({ KeyId: KeyMetadata?.KeyId })).rejects.toMatchObject({
      name: 'InvalidImportTokenException',
    })
    const pairs = [...fixture.provider.importPairs.keys()]
    const store = fixture.store.imports
    const get = store.getImportPair.bind(store)
    store.getImportPair = async (id) => {
      const pair = await get(id)
      return pair && { ...pair, expiresAt: fixture.clock.now() }
    }
    await expect(send({})).rejects.toMatchObject({ name: 'ExpiredImportTokenException' })
    store.getImportPair = get
    expect(pairs.length).toBeGreaterThan(0)
  })

  it.each([
    [{ WrappingAlgorithm: 'RSAES_PKCS1_V1_5' }, 'WrappingAlgorithm RSAES_PKCS1_V1_5'],
    [{ WrappingAlgorithm: 'SM2PKE' }, 'WrappingAlgorithm SM2PKE'],
    [{ WrappingKeySpec: 'SM2' }, 'WrappingKeySpec SM2'],
  ] as const)('does not wrap with %j', async (input, named) => {
    await expect(parameters(input)).rejects.toMatchObject({
      name: 'UnsupportedOperationException',
      message: expect.stringContaining(named),
    })
  })

  it('follows the table of key states, by origin first', async () => {
    const origin = (name: string) => ({
      name: 'UnsupportedOperationException',
      message: expect.stringContaining(`origin is ${name} which is not valid for this operation.`),
    })
    for (const command of [
      new EnableKeyRotationCommand({ KeyId }),
      new GetKeyRotationStatusCommand({ KeyId }),
    ])
      await expect(client.send(command)).rejects.toMatchObject(origin('EXTERNAL'))
    await expect(client.send(new RotateKeyOnDemandCommand({ KeyId }))).rejects.toThrow(
      `${arn} is pending import.`,
    )
    await expect(client.send(new DisableKeyCommand({ KeyId }))).rejects.toThrow(`${arn} is pending import.`)
    await client.send(new ScheduleKeyDeletionCommand({ KeyId }))
    await expect(parameters()).rejects.toMatchObject({ name: 'KMSInvalidStateException' })
    await client.send(new CancelKeyDeletionCommand({ KeyId }))
    expect(await describeKey()).toMatchObject({ KeyState: 'PendingImport' })
    const { keyId } = await fixture.newKey()
    await expect(parameters({ KeyId: keyId })).rejects.toMatchObject(origin('AWS_KMS'))
    await expect(client.send(new DeleteImportedKeyMaterialCommand({ KeyId: keyId }))).rejects.toMatchObject(
      origin('AWS_KMS'),
    )
  })
})
