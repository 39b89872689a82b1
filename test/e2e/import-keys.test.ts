import { createHmac } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CreateKeyCommand,
  DeleteImportedKeyMaterialCommand,
  DescribeKeyCommand,
  GenerateMacCommand,
  GetParametersForImportCommand,
  GetPublicKeyCommand,
  ImportKeyMaterialCommand,
  type KMSClient,
  SignCommand,
  VerifyCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'
import { type ImportedSpec, makeMaterial, type OwnedMaterial, wrappingFor } from '../support/imported-keys.ts'
import { wrapMaterial } from '../support/wrap-material.ts'

const Message = Buffer.from('signed or authenticated')
const RSA = { spec: 'RSA_2048', usage: 'SIGN_VERIFY' } as const
const EC = { spec: 'ECC_NIST_P384', usage: 'SIGN_VERIFY' } as const
const MAC = { spec: 'HMAC_512', usage: 'GENERATE_VERIFY_MAC' } as const

describe('key pairs and MAC keys that their owner brings, in the built program', () => {
  let home: string
  let gateway: Gateway
  let client: KMSClient

  const start = async () => {
    gateway = await startGateway({ home })
    client = sdkClient(gateway.env, { maxAttempts: 1 })
  }
  beforeAll(async () => {
    home = newHome()
    await start()
  })
  afterAll(async () => {
    client.destroy()
    await gateway.stop()
    removeHome(home)
  })

  async function newKey({ spec, usage }: ImportedSpec): Promise<string> {
    const { KeyMetadata } = await client.send(
      new CreateKeyCommand({ Origin: 'EXTERNAL', KeySpec: spec, KeyUsage: usage }),
    )
    return KeyMetadata?.KeyId ?? ''
  }
  const parametersFor = (KeyId: string, spec: ImportedSpec['spec']) =>
    client.send(
      new GetParametersForImportCommand({
        KeyId,
        WrappingAlgorithm: wrappingFor(spec),
        WrappingKeySpec: 'RSA_2048',
      }),
    )
  async function bring(KeyId: string, { spec }: ImportedSpec, bytes: Buffer) {
    const { ImportToken, PublicKey = new Uint8Array() } = await parametersFor(KeyId, spec)
    return client.send(
      new ImportKeyMaterialCommand({
        KeyId,
        ImportToken,
        EncryptedKeyMaterial: wrapMaterial(wrappingFor(spec), PublicKey, bytes),
        ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      }),
    )
  }
  async function expectKey(KeyId: string, { spec }: ImportedSpec, owner: OwnedMaterial): Promise<void> {
    if (spec === 'HMAC_512') {
      const made = await client.send(new GenerateMacCommand({ KeyId, MacAlgorithm: 'HMAC_SHA_512', Message }))
      const expected = createHmac('sha512', owner.bytes).update(Message).digest()
      expect(Buffer.from(made.Mac ?? [])).toEqual(expected)
      return
    }
    const SigningAlgorithm = spec === 'RSA_2048' ? 'RSASSA_PSS_SHA_256' : 'ECDSA_SHA_384'
    const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId }))
    expect(Buffer.from(PublicKey ?? [])).toEqual(owner.publicKey?.export({ type: 'spki', format: 'der' }))
    const { Signature } = await client.send(new SignCommand({ KeyId, SigningAlgorithm, Message }))
    await client.send(new VerifyCommand({ KeyId, SigningAlgorithm, Message, Signature }))
  }

  it('work as the very keys, last over a restart, go when they are deleted and come back', async () => {
    const brought = await Promise.all(
      [RSA, EC, MAC].map(async (material) => ({
        material,
        KeyId: await newKey(material),
        owner: makeMaterial(material.spec),
      })),
    )
    for (const { KeyId, material, owner } of brought) await bring(KeyId, material, owner.bytes)
    for (const { KeyId, material, owner } of brought) await expectKey(KeyId, material, owner)
    client.destroy()
    await gateway.stop()
    await start()
    for (const { KeyId, material, owner } of brought) {
      await expectKey(KeyId, material, owner)
      await client.send(new DeleteImportedKeyMaterialCommand({ KeyId }))
      const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId }))
      expect(KeyMetadata?.KeyState).toBe('PendingImport')
      await expect(expectKey(KeyId, material, owner)).rejects.toMatchObject({
        name: 'KMSInvalidStateException',
      })
      await expect(bring(KeyId, material, makeMaterial(material.spec).bytes)).rejects.toMatchObject({
        name: 'IncorrectKeyMaterialException',
      })
      await bring(KeyId, material, owner.bytes)
      await expectKey(KeyId, material, owner)
    }
  })

  it('are not what they are not, and the service goes on', async () => {
    const KeyId = await newKey(EC)
    for (const bytes of [
      makeMaterial('ECC_NIST_P256').bytes,
      makeMaterial('ECC_NIST_P384').bytes.subarray(2),
      Buffer.alloc(180, 0x30),
    ])
      await expect(bring(KeyId, EC, bytes)).rejects.toMatchObject({ name: 'InvalidCiphertextException' })
    const owner = makeMaterial('ECC_NIST_P384')
    await bring(KeyId, EC, owner.bytes)
    await expectKey(KeyId, EC, owner)
  })

  it('come through host memory where SoftHSM does not tell them, and only where the operator allows that', async () => {
    const materials = [
      { spec: 'ECC_NIST_EDWARDS25519', usage: 'SIGN_VERIFY' },
      { spec: 'HMAC_224', usage: 'GENERATE_VERIFY_MAC' },
    ] as const
    // The quick start allows it.
    for (const material of materials) {
      const KeyId = await newKey(material)
      await bring(KeyId, material, makeMaterial(material.spec).bytes)
      const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId }))
      expect(KeyMetadata?.KeyState).toBe('Enabled')
    }
    const file = join(home, 'config.yaml')
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^ *allowHostMemory: true\n/m, ''))
    client.destroy()
    await gateway.stop()
    await start()
    for (const material of materials) {
      const KeyId = await newKey(material)
      await expect(parametersFor(KeyId, material.spec)).rejects.toMatchObject({
        name: 'UnsupportedOperationException',
        message: expect.stringMatching(new RegExp(`${material.spec}.*CKM_RSA_PKCS_OAEP.*allowHostMemory`)),
      })
    }
  })
})
