import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CreateKeyCommand,
  DecryptCommand,
  DeleteImportedKeyMaterialCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GetParametersForImportCommand,
  ImportKeyMaterialCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, it } from 'vitest'
import { wrapMaterial } from '../support/wrap-material.ts'
import { restartingGateway } from './restarting-gateway.ts'

const MATERIAL_BYTES = 32

type Wrapping = Parameters<typeof wrapMaterial>[0]

describe('material that its owner brings, in the built program', () => {
  const { client, home, restart } = restartingGateway()
  const newExternalKey = async () => {
    const { KeyMetadata } = await client().send(new CreateKeyCommand({ Origin: 'EXTERNAL' }))
    expect(KeyMetadata).toMatchObject({ Origin: 'EXTERNAL', KeyState: 'PendingImport', Enabled: false })
    return KeyMetadata?.KeyId ?? ''
  }
  const stateOf = async (KeyId: string) => {
    const { KeyMetadata } = await client().send(new DescribeKeyCommand({ KeyId }))
    return KeyMetadata?.KeyState
  }
  const parametersFor = (KeyId: string, WrappingAlgorithm: Wrapping) =>
    client().send(
      new GetParametersForImportCommand({ KeyId, WrappingAlgorithm, WrappingKeySpec: 'RSA_2048' }),
    )
  const bring = async (KeyId: string, material: Buffer, algorithm: Wrapping = 'RSAES_OAEP_SHA_1') => {
    const { ImportToken, PublicKey = new Uint8Array() } = await parametersFor(KeyId, algorithm)
    return client().send(
      new ImportKeyMaterialCommand({
        KeyId,
        ImportToken,
        EncryptedKeyMaterial: wrapMaterial(algorithm, PublicKey, material),
        ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      }),
    )
  }
  const seal = async (KeyId: string, text: string) => {
    const { CiphertextBlob } = await client().send(
      new EncryptCommand({ KeyId, Plaintext: Buffer.from(text), EncryptionContext: { app: 'byok' } }),
    )
    return CiphertextBlob ?? new Uint8Array()
  }
  const open = async (CiphertextBlob: Uint8Array) => {
    const { Plaintext } = await client().send(
      new DecryptCommand({ CiphertextBlob, EncryptionContext: { app: 'byok' } }),
    )
    return Buffer.from(Plaintext ?? []).toString()
  }

  it('works like any other, lasts over a restart, goes when it is deleted and opens what it sealed when it is back', async () => {
    const KeyId = await newExternalKey()
    await expect(seal(KeyId, 'too early')).rejects.toMatchObject({ name: 'KMSInvalidStateException' })
    const material = randomBytes(MATERIAL_BYTES)
    const { KeyMaterialId } = await bring(KeyId, material)
    expect(await stateOf(KeyId)).toBe('Enabled')
    const sealed = await seal(KeyId, 'sealed before')

    await restart()
    expect(await open(sealed)).toBe('sealed before')

    await client().send(new DeleteImportedKeyMaterialCommand({ KeyId }))
    expect(await stateOf(KeyId)).toBe('PendingImport')
    await expect(open(sealed)).rejects.toMatchObject({ name: 'KMSInvalidStateException' })
    await expect(seal(KeyId, 'too late')).rejects.toMatchObject({ name: 'KMSInvalidStateException' })

    await expect(bring(KeyId, randomBytes(MATERIAL_BYTES))).rejects.toMatchObject({
      name: 'IncorrectKeyMaterialException',
      $metadata: { httpStatusCode: 400 },
    })
    expect(await stateOf(KeyId)).toBe('PendingImport')

    const again = await bring(KeyId, material, 'RSA_AES_KEY_WRAP_SHA_1')
    expect(again.KeyMaterialId).toBe(KeyMaterialId)
    expect(await open(sealed)).toBe('sealed before')
  })

  it('is refused alike whatever of it is wrong, and an import token goes with its own key alone', async () => {
    const KeyId = await newExternalKey()
    const { ImportToken, PublicKey = new Uint8Array() } = await parametersFor(KeyId, 'RSAES_OAEP_SHA_1')
    const good = wrapMaterial('RSAES_OAEP_SHA_1', PublicKey, randomBytes(MATERIAL_BYTES))
    const wrong = [
      good.with(100, (good[100] ?? 0) ^ 1),
      Buffer.alloc(good.length, 0xff),
      good.subarray(1),
      Buffer.concat([good, Buffer.of(0)]),
      wrapMaterial('RSAES_OAEP_SHA_1', PublicKey, randomBytes(16)),
      wrapMaterial('RSAES_OAEP_SHA_1', PublicKey, randomBytes(33)),
    ]
    const send = (of: string, EncryptedKeyMaterial: Uint8Array) =>
      client().send(
        new ImportKeyMaterialCommand({
          KeyId: of,
          ImportToken,
          EncryptedKeyMaterial,
          ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
        }),
      )
    const answers: string[] = []
    for (const one of wrong) {
      const error = await send(KeyId, one).catch((e) => e)
      answers.push(`${error.$metadata?.httpStatusCode} ${error.name}: ${error.message}`)
    }
    expect(new Set(answers)).toHaveLength(1)
    expect(answers[0]).toMatch(/^400 InvalidCiphertextException/)
    expect(await stateOf(KeyId)).toBe('PendingImport')

    const other = await newExternalKey()
    await expect(send(other, good)).rejects.toMatchObject({ name: 'InvalidImportTokenException' })
    await send(KeyId, good)
    expect(await open(await seal(KeyId, 'well'))).toBe('well')
  })

  it.each(['RSAES_OAEP_SHA_256', 'RSA_AES_KEY_WRAP_SHA_256'] as const)(
    'comes as the documentation of AWS KMS has it, with %s, because the quick start allows host memory',
    async (algorithm) => {
      const KeyId = await newExternalKey()
      await bring(KeyId, randomBytes(MATERIAL_BYTES), algorithm)
      expect(await open(await seal(KeyId, 'well'))).toBe('well')
    },
  )

  it('is not taken through host memory where the operator has not allowed that, and names the switch', async () => {
    const file = join(home(), 'config.yaml')
    const allowed = readFileSync(file, 'utf8')
    writeFileSync(file, allowed.replace(/^ *allowHostMemory: true\n/m, ''))
    await restart()
    const KeyId = await newExternalKey()
    for (let attempt = 1; attempt <= 10; attempt++)
      await expect(parametersFor(KeyId, 'RSAES_OAEP_SHA_256')).rejects.toMatchObject({
        name: 'UnsupportedOperationException',
        message: expect.stringContaining('allowHostMemory'),
      })
    expect((await parametersFor(KeyId, 'RSAES_OAEP_SHA_1')).ImportToken).toHaveLength(49)
  })
})
