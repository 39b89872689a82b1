import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { buildClient, CommitmentPolicy, KmsKeyringNode } from '@aws-crypto/client-node'
import { DescribeKeyCommand, KMS, RotateKeyOnDemandCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'

let gateway: Gateway

beforeAll(async () => {
  gateway = await startGateway({ home: newHome() })
})
afterAll(async () => {
  await gateway.stop()
  removeHome(gateway.home)
})

function keyring(): KmsKeyringNode {
  const { env } = gateway
  const generatorKeyId = `arn:aws:kms:us-east-1:111122223333:key/${env['P11KMS_KEY_ID']}`
  const clientProvider = (region: string) =>
    new KMS({
      region,
      endpoint: gateway.endpoint,
      credentials: {
        accessKeyId: env['AWS_ACCESS_KEY_ID'] ?? '',
        secretAccessKey: env['AWS_SECRET_ACCESS_KEY'] ?? '',
      },
    })
  // The Encryption SDK types its clients against an older SDK than the one used here.
  return new KmsKeyringNode({ generatorKeyId, clientProvider: clientProvider as never })
}

describe('the unmodified AWS Encryption SDK', () => {
  it('encrypts a file under a KMS keyring and decrypts it again', async () => {
    const { encryptStream, decryptStream } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    const [plain, sealed, opened] = ['plain', 'sealed', 'opened'].map((name) => join(gateway.home, name)) as [
      string,
      string,
      string,
    ]
    writeFileSync(plain, randomBytes(1_000_000))
    const encryptionContext = { purpose: 'backup', origin: 'e2e' }
    await pipeline(
      createReadStream(plain),
      encryptStream(keyring(), { encryptionContext }),
      createWriteStream(sealed),
    )
    await pipeline(createReadStream(sealed), decryptStream(keyring()), createWriteStream(opened))
    expect(readFileSync(opened).equals(readFileSync(plain))).toBe(true)
    expect(readFileSync(sealed).includes(readFileSync(plain).subarray(0, 64))).toBe(false)
  })

  it('decrypts what it encrypted before the key was rotated and the service restarted, and goes on', async () => {
    const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    const encryptionContext = { purpose: 'rotated', origin: 'e2e' }
    const before = await encrypt(keyring(), 'from before', { encryptionContext })
    const client = sdkClient(gateway.env)
    const KeyId = gateway.env['P11KMS_KEY_ID']
    const first = await client.send(new DescribeKeyCommand({ KeyId }))
    await client.send(new RotateKeyOnDemandCommand({ KeyId }))
    client.destroy()
    const { home } = gateway
    await gateway.stop()
    gateway = await startGateway({ home })
    const again = sdkClient(gateway.env)
    const second = await again.send(new DescribeKeyCommand({ KeyId }))
    again.destroy()
    expect(second.KeyMetadata?.CurrentKeyMaterialId).not.toBe(first.KeyMetadata?.CurrentKeyMaterialId)
    const after = await encrypt(keyring(), 'from after', { encryptionContext })
    for (const [message, text] of [
      [before.result, 'from before'],
      [after.result, 'from after'],
    ] as const) {
      const opened = await decrypt(keyring(), message)
      expect(opened.plaintext.toString()).toBe(text)
      expect(opened.messageHeader.encryptionContext).toMatchObject(encryptionContext)
    }
  })

  it('refuses a message whose encrypted data key was changed', async () => {
    const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    const { result, messageHeader } = await encrypt(keyring(), 'attack at dawn', {
      encryptionContext: { a: 'b' },
    })
    const [edk] = messageHeader.encryptedDataKeys
    const at = result.indexOf(Buffer.from(edk?.encryptedDataKey ?? []))
    expect(at).toBeGreaterThan(0)
    expect((await decrypt(keyring(), result)).plaintext.toString()).toBe('attack at dawn')
    const forged = Buffer.from(result)
    forged[at + 40] = (forged[at + 40] ?? 0) ^ 1
    await expect(decrypt(keyring(), forged)).rejects.toThrow()
  })
})
