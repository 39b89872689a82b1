import { createHmac, createPrivateKey, diffieHellman, generateKeyPairSync } from 'node:crypto'
import {
  CreateKeyCommand,
  DeleteImportedKeyMaterialCommand,
  DeriveSharedSecretCommand,
  DescribeKeyCommand,
  EnableKeyRotationCommand,
  GenerateMacCommand,
  GetParametersForImportCommand,
  type GetParametersForImportCommandInput,
  GetPublicKeyCommand,
  ImportKeyMaterialCommand,
  type ImportKeyMaterialCommandInput,
  type KMSClient,
  RotateKeyOnDemandCommand,
  SignCommand,
  type SigningAlgorithmSpec,
  VerifyCommand,
  VerifyMacCommand,
} from '@aws-sdk/client-kms'
import { beforeAll, describe, expect, it } from 'vitest'
import { algorithmsOf, MAC_ALGORITHMS } from '../../src/core/key-spec.ts'
import {
  IMPORTED_SPECS,
  type ImportedSpec,
  makeMaterial,
  type OwnedMaterial,
  wrappingFor,
} from '../support/imported-keys.ts'
import { wrapMaterial } from '../support/wrap-material.ts'
import { sdkFixture } from './sdk-fixture.ts'

const Message = Buffer.from('signed or authenticated')
const SIGNING = { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' } as const
const MAC = { spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' } as const

describe('imported key pairs and MAC keys, through the unmodified @aws-sdk/client-kms', () => {
  const fixture = sdkFixture()
  let client: KMSClient

  beforeAll(() => {
    client = fixture.clients.alice
  })

  async function newKey({ spec, usage }: ImportedSpec) {
    const { KeyMetadata } = await client.send(
      new CreateKeyCommand({ Origin: 'EXTERNAL', KeySpec: spec, KeyUsage: usage }),
    )
    expect(KeyMetadata).toMatchObject({ Origin: 'EXTERNAL', KeyState: 'PendingImport', KeySpec: spec })
    return { KeyId: KeyMetadata?.KeyId ?? '', arn: KeyMetadata?.Arn ?? '' }
  }
  const parametersFor = (KeyId: string, input: Partial<GetParametersForImportCommandInput>) =>
    client.send(
      new GetParametersForImportCommand({
        KeyId,
        WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
        WrappingKeySpec: 'RSA_2048',
        ...input,
      }),
    )
  async function bring(
    KeyId: string,
    { spec }: ImportedSpec,
    bytes: Buffer,
    input: Partial<ImportKeyMaterialCommandInput> = {},
  ) {
    const algorithm = wrappingFor(spec)
    const { ImportToken, PublicKey = new Uint8Array() } = await parametersFor(KeyId, {
      WrappingAlgorithm: algorithm,
    })
    const EncryptedKeyMaterial = wrapMaterial(algorithm, PublicKey, bytes)
    const ExpirationModel = 'KEY_MATERIAL_DOES_NOT_EXPIRE'
    return client.send(
      new ImportKeyMaterialCommand({ KeyId, ImportToken, EncryptedKeyMaterial, ExpirationModel, ...input }),
    )
  }
  const stateOf = async (KeyId: string) =>
    (await client.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.KeyState

  async function use(KeyId: string, { spec, usage }: ImportedSpec, owner: OwnedMaterial): Promise<void> {
    const { mac, signing } = algorithmsOf({ spec, usage })
    if (mac[0]) {
      const MacAlgorithm = mac[0]
      const made = await client.send(new GenerateMacCommand({ KeyId, MacAlgorithm, Message }))
      const expected = createHmac(MAC_ALGORITHMS[mac[0]].hash, owner.bytes).update(Message).digest()
      expect(Buffer.from(made.Mac ?? [])).toEqual(expected)
      await client.send(new VerifyMacCommand({ KeyId, MacAlgorithm, Message, Mac: made.Mac }))
      return
    }
    const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId }))
    expect(Buffer.from(PublicKey ?? [])).toEqual(owner.publicKey?.export({ type: 'spki', format: 'der' }))
    if (usage === 'KEY_AGREEMENT') await agree(KeyId, owner)
    if (!signing[0]) return
    const SigningAlgorithm = signing[0] as SigningAlgorithmSpec
    const { Signature } = await client.send(new SignCommand({ KeyId, SigningAlgorithm, Message }))
    const verified = await client.send(new VerifyCommand({ KeyId, SigningAlgorithm, Message, Signature }))
    expect(verified.SignatureValid).toBe(true)
  }

  async function agree(KeyId: string, owner: OwnedMaterial): Promise<void> {
    const privateKey = createPrivateKey({ key: owner.bytes, format: 'der', type: 'pkcs8' })
    const { namedCurve = '' } = privateKey.asymmetricKeyDetails ?? {}
    const peer = generateKeyPairSync('ec', { namedCurve })
    const PublicKey = peer.publicKey.export({ type: 'spki', format: 'der' })
    const derived = await client.send(
      new DeriveSharedSecretCommand({ KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey }),
    )
    expect(derived.KeyOrigin).toBe('EXTERNAL')
    const secret = diffieHellman({ privateKey, publicKey: peer.publicKey })
    expect(Buffer.from(derived.SharedSecret ?? [])).toEqual(secret)
  }

  it.each(IMPORTED_SPECS.map((one) => [`${one.spec}, ${one.usage}`, one] as const))(
    '%s: is created, brought, used, taken away and brought again',
    async (_, material) => {
      const { KeyId, arn } = await newKey(material)
      const owner = makeMaterial(material.spec)
      const imported = await bring(KeyId, material, owner.bytes)
      expect(imported.KeyId).toBe(arn)
      expect(imported).not.toHaveProperty('KeyMaterialId')
      const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId }))
      expect(KeyMetadata).toMatchObject({
        KeyState: 'Enabled',
        ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      })
      expect(KeyMetadata).not.toHaveProperty('CurrentKeyMaterialId')
      await use(KeyId, material, owner)
      await client.send(new DeleteImportedKeyMaterialCommand({ KeyId }))
      expect(await stateOf(KeyId)).toBe('PendingImport')
      await expect(use(KeyId, material, owner)).rejects.toMatchObject({
        name: 'KMSInvalidStateException',
        message: `${arn} is pending import.`,
      })
      await bring(KeyId, material, owner.bytes)
      await use(KeyId, material, owner)
    },
    30_000,
  )

  it('refuses what is not what it says, each with its name', async () => {
    for (const material of [SIGNING, MAC]) {
      const { KeyId } = await newKey(material)
      const { bytes } = makeMaterial(material.spec)
      await expect(bring(KeyId, material, bytes.subarray(1))).rejects.toMatchObject({
        name: 'InvalidCiphertextException',
      })
      await bring(KeyId, material, bytes)
      await expect(bring(KeyId, material, makeMaterial(material.spec).bytes)).rejects.toMatchObject({
        name: 'IncorrectKeyMaterialException',
      })
      for (const input of [
        { ImportType: 'NEW_KEY_MATERIAL' },
        { ImportType: 'EXISTING_KEY_MATERIAL' },
        { KeyMaterialDescription: 'the first' },
        { KeyMaterialId: 'a'.repeat(64) },
      ] as const)
        await expect(
          client.send(
            new ImportKeyMaterialCommand({
              KeyId,
              ImportToken: Buffer.of(1),
              EncryptedKeyMaterial: Buffer.of(1),
              ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
              ...input,
            }),
          ),
        ).rejects.toMatchObject({ name: 'UnsupportedOperationException' })
      for (const rotation of [
        client.send(new RotateKeyOnDemandCommand({ KeyId })),
        client.send(new EnableKeyRotationCommand({ KeyId })),
      ])
        await expect(rotation).rejects.toMatchObject({ name: 'UnsupportedOperationException' })
    }
  })

  it('takes no RSA key that is wrapped with RSAES-OAEP alone', async () => {
    const { KeyId } = await newKey({ spec: 'RSA_2048', usage: 'SIGN_VERIFY' })
    await expect(parametersFor(KeyId, { WrappingKeySpec: 'RSA_4096' })).rejects.toMatchObject({
      name: 'UnsupportedOperationException',
      message: expect.stringContaining('RSAES_OAEP_SHA_256'),
    })
  })

  it.each([{ KeySpec: 'ML_DSA_65', KeyUsage: 'SIGN_VERIFY' }, { MultiRegion: true }] as const)(
    'makes no external key of %o',
    async (input) => {
      await expect(client.send(new CreateKeyCommand({ Origin: 'EXTERNAL', ...input }))).rejects.toMatchObject(
        { name: 'UnsupportedOperationException' },
      )
    },
  )

  it('wants a usage, as for keys that the token makes', async () => {
    await expect(
      client.send(new CreateKeyCommand({ Origin: 'EXTERNAL', KeySpec: 'HMAC_256' })),
    ).rejects.toMatchObject({ name: 'ValidationException' })
    await expect(
      client.send(
        new CreateKeyCommand({ Origin: 'EXTERNAL', KeySpec: 'RSA_2048', KeyUsage: 'KEY_AGREEMENT' }),
      ),
    ).rejects.toMatchObject({ message: 'KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048' })
  })
})
