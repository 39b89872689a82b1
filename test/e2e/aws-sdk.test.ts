import { execFile } from 'node:child_process'
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import {
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DeleteAliasCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateDataKeyPairWithoutPlaintextCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  GenerateRandomCommand,
  type KMSClient,
  ListAliasesCommand,
  paginateListKeys,
  ReEncryptCommand,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'

let gateway: Gateway
let kms: KMSClient
let keyId: string

beforeAll(async () => {
  gateway = await startGateway({ home: newHome() })
  kms = sdkClient(gateway.env)
  keyId = gateway.env['P11KMS_KEY_ID'] ?? ''
})
afterAll(async () => {
  kms.destroy()
  await gateway.stop()
  removeHome(gateway.home)
})

const EncryptionContext = { app: 'payments', tenant: '7' }

/** Whether a signature of the private key verifies with the public key. */
function matches(spki: Uint8Array | undefined, pkcs8: Uint8Array | undefined): boolean {
  const publicKey = createPublicKey({ key: Buffer.from(spki ?? []), format: 'der', type: 'spki' })
  const privateKey = createPrivateKey({ key: Buffer.from(pkcs8 ?? []), format: 'der', type: 'pkcs8' })
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  const text = Buffer.from('signed')
  return verify(digest, text, publicKey, sign(digest, text, privateKey))
}

async function newKey(): Promise<string> {
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Description: 'e2e' }))
  return KeyMetadata?.KeyId ?? ''
}

describe('the unmodified AWS SDK', () => {
  it('gets a data key under the first key and opens it again, with and without KeyId', async () => {
    const dataKey = await kms.send(
      new GenerateDataKeyCommand({ KeyId: 'alias/demo', KeySpec: 'AES_256', EncryptionContext }),
    )
    expect(dataKey.Plaintext).toHaveLength(32)
    expect(dataKey.KeyId).toBe(`arn:aws:kms:us-east-1:111122223333:key/${keyId}`)
    expect(dataKey.$metadata.requestId).toMatch(/^[0-9a-f-]{36}$/)
    for (const KeyId of [undefined, keyId, dataKey.KeyId, 'alias/demo']) {
      const opened = await kms.send(
        new DecryptCommand({ KeyId, CiphertextBlob: dataKey.CiphertextBlob, EncryptionContext }),
      )
      expect(opened.Plaintext).toEqual(dataKey.Plaintext)
      expect(opened.KeyId).toBe(dataKey.KeyId)
      expect(opened.EncryptionAlgorithm).toBe('SYMMETRIC_DEFAULT')
    }
  })

  it.each(['RSA_2048', 'ECC_NIST_P256', 'ECC_NIST_EDWARDS25519'] as const)(
    'gets a %s key pair, and the private key of it again',
    async (KeyPairSpec) => {
      const pair = await kms.send(
        new GenerateDataKeyPairCommand({ KeyId: keyId, KeyPairSpec, EncryptionContext }),
      )
      expect(pair.KeyPairSpec).toBe(KeyPairSpec)
      const opened = await kms.send(
        new DecryptCommand({ CiphertextBlob: pair.PrivateKeyCiphertextBlob, EncryptionContext }),
      )
      expect(opened.Plaintext).toEqual(pair.PrivateKeyPlaintext)
      expect(matches(pair.PublicKey, opened.Plaintext)).toBe(true)
    },
  )

  it('gets key pairs whose private keys never left the token, several at a time', async () => {
    const specs = ['RSA_2048', 'ECC_NIST_P384', 'ECC_SECG_P256K1', 'ECC_NIST_P521'] as const
    const pairs = await Promise.all(
      specs.map((KeyPairSpec) =>
        kms.send(
          new GenerateDataKeyPairWithoutPlaintextCommand({ KeyId: keyId, KeyPairSpec, EncryptionContext }),
        ),
      ),
    )
    for (const pair of pairs) {
      expect(pair).not.toHaveProperty('PrivateKeyPlaintext')
      const opened = await kms.send(
        new DecryptCommand({ CiphertextBlob: pair.PrivateKeyCiphertextBlob, EncryptionContext }),
      )
      expect(matches(pair.PublicKey, opened.Plaintext)).toBe(true)
    }
  })

  it('gets Ed25519 pairs too, which SoftHSM cannot wrap: the quick start allows host memory', async () => {
    const pair = await kms.send(
      new GenerateDataKeyPairWithoutPlaintextCommand({ KeyId: keyId, KeyPairSpec: 'ECC_NIST_EDWARDS25519' }),
    )
    expect(pair).not.toHaveProperty('PrivateKeyPlaintext')
    const opened = await kms.send(new DecryptCommand({ CiphertextBlob: pair.PrivateKeyCiphertextBlob }))
    expect(matches(pair.PublicKey, opened.Plaintext)).toBe(true)
  })

  it('opens a data key that was made without plaintext', async () => {
    for (const size of [
      { KeySpec: 'AES_128' as const },
      { KeySpec: 'AES_256' as const },
      { NumberOfBytes: 33 },
    ]) {
      const sealed = await kms.send(
        new GenerateDataKeyWithoutPlaintextCommand({ KeyId: keyId, EncryptionContext, ...size }),
      )
      expect(sealed).not.toHaveProperty('Plaintext')
      const opened = await kms.send(
        new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob, EncryptionContext }),
      )
      expect(opened.Plaintext).toHaveLength(
        'NumberOfBytes' in size ? 33 : size.KeySpec === 'AES_128' ? 16 : 32,
      )
    }
  })

  it('refuses another encryption context, and never confuses {"a":"bc"} with {"ab":"c"}', async () => {
    const { CiphertextBlob } = await kms.send(
      new EncryptCommand({ KeyId: keyId, Plaintext: Buffer.from('x'), EncryptionContext: { a: 'bc' } }),
    )
    for (const other of [{ ab: 'c' }, { a: 'b' }, undefined]) {
      await expect(
        kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext: other })),
      ).rejects.toMatchObject({
        name: 'InvalidCiphertextException',
        $metadata: { httpStatusCode: 400 },
      })
    }
  })

  it('ENV-7 refuses a blob with any one byte changed, truncated or extended, always with the same text', async () => {
    const { CiphertextBlob = new Uint8Array() } = await kms.send(
      new GenerateDataKeyCommand({ KeyId: keyId, KeySpec: 'AES_256', EncryptionContext }),
    )
    const variants = [
      ...Array.from(CiphertextBlob, (byte, i) => CiphertextBlob.with(i, byte ^ (1 << (i % 8)))),
      CiphertextBlob.slice(0, -1),
      CiphertextBlob.slice(0, 20),
      CiphertextBlob.slice(1),
      Buffer.concat([CiphertextBlob, Buffer.of(0)]),
      Buffer.from('86a9efd9-3d16-4894-bd4f-1fc43f3f2abf'.repeat(3)),
    ]
    const answers = new Set<string>()
    for (const variant of variants) {
      const error = await kms
        .send(new DecryptCommand({ CiphertextBlob: variant, EncryptionContext }))
        .catch((e) => e)
      answers.add(`${error.$metadata?.httpStatusCode} ${error.name}: ${error.message}`)
    }
    expect([...answers]).toHaveLength(1)
    expect([...answers][0]).toMatch(/^400 InvalidCiphertextException/)
    const still = await kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }))
    expect(still.Plaintext).toHaveLength(32)
  })

  it('takes plaintexts of 1 to 4096 bytes', async () => {
    for (const length of [1, 4095, 4096]) {
      const Plaintext = Buffer.alloc(length, 7)
      const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId: keyId, Plaintext }))
      const opened = await kms.send(new DecryptCommand({ CiphertextBlob }))
      expect(Buffer.from(opened.Plaintext ?? [])).toEqual(Plaintext)
    }
    const tooLong = kms.send(new EncryptCommand({ KeyId: keyId, Plaintext: Buffer.alloc(4097) }))
    await expect(tooLong).rejects.toMatchObject({ name: 'ValidationException' })
  })

  it('moves a ciphertext under another key', async () => {
    const other = await newKey()
    const { CiphertextBlob } = await kms.send(
      new EncryptCommand({ KeyId: keyId, Plaintext: Buffer.from('move me') }),
    )
    const moved = await kms.send(
      new ReEncryptCommand({
        CiphertextBlob,
        DestinationKeyId: other,
        DestinationEncryptionContext: EncryptionContext,
      }),
    )
    expect(moved.SourceKeyId).toContain(keyId)
    expect(moved.KeyId).toContain(other)
    const opened = await kms.send(
      new DecryptCommand({ CiphertextBlob: moved.CiphertextBlob, EncryptionContext }),
    )
    expect(Buffer.from(opened.Plaintext ?? []).toString()).toBe('move me')
    const wrongKey = kms.send(
      new DecryptCommand({ CiphertextBlob: moved.CiphertextBlob, KeyId: keyId, EncryptionContext }),
    )
    await expect(wrongKey).rejects.toMatchObject({ name: 'IncorrectKeyException' })
  })

  it('leads a key through its states', async () => {
    const KeyId = await newKey()
    const stateOf = async () => (await kms.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.KeyState
    const use = () => kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
    expect(await stateOf()).toBe('Enabled')
    await kms.send(new DisableKeyCommand({ KeyId }))
    expect(await stateOf()).toBe('Disabled')
    await expect(use()).rejects.toMatchObject({
      name: 'DisabledException',
      message: `arn:aws:kms:us-east-1:111122223333:key/${KeyId} is disabled.`,
    })
    await kms.send(new EnableKeyCommand({ KeyId }))
    expect((await use()).Plaintext).toHaveLength(32)
    const scheduled = await kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
    expect(scheduled.KeyState).toBe('PendingDeletion')
    expect(scheduled.DeletionDate?.getTime()).toBeGreaterThan(Date.now() + 6.9 * 86_400_000)
    await expect(use()).rejects.toMatchObject({ name: 'KMSInvalidStateException' })
    await kms.send(new CancelKeyDeletionCommand({ KeyId }))
    expect(await stateOf()).toBe('Disabled')
  })

  it('names keys by aliases, and moves and removes them', async () => {
    const first = await newKey()
    const second = await newKey()
    const AliasName = 'alias/e2e/app'
    const used = async () =>
      (await kms.send(new GenerateDataKeyCommand({ KeyId: AliasName, KeySpec: 'AES_256' }))).KeyId
    await kms.send(new CreateAliasCommand({ AliasName, TargetKeyId: first }))
    expect(await used()).toContain(first)
    await kms.send(new UpdateAliasCommand({ AliasName, TargetKeyId: second }))
    expect(await used()).toContain(second)
    const { Aliases = [] } = await kms.send(new ListAliasesCommand({ KeyId: second }))
    expect(Aliases.map((alias) => alias.AliasName)).toEqual([AliasName])
    await kms.send(new DeleteAliasCommand({ AliasName }))
    await expect(used()).rejects.toMatchObject({ name: 'NotFoundException' })
  })

  it('lists every key exactly once in small pages while keys are created', async () => {
    const before = await Promise.all([newKey(), newKey(), newKey()])
    const seen: string[] = []
    for await (const page of paginateListKeys({ client: kms }, { Limit: 2 })) {
      seen.push(...(page.Keys ?? []).map((key) => key.KeyId ?? ''))
      if (seen.length < 8) await newKey()
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toEqual(expect.arrayContaining([...before, keyId]))
  })

  it('draws random bytes from the token', async () => {
    const { Plaintext } = await kms.send(new GenerateRandomCommand({ NumberOfBytes: 1024 }))
    expect(new Set(Plaintext).size).toBeGreaterThan(200)
  })

  it('is told that a wrong secret does not sign, and nothing else', async () => {
    const stranger = sdkClient(gateway.env, {
      credentials: { accessKeyId: gateway.env['AWS_ACCESS_KEY_ID'] ?? '', secretAccessKey: 'not the secret' },
    })
    const promise = stranger.send(new GenerateDataKeyCommand({ KeyId: keyId, KeySpec: 'AES_256' }))
    await expect(promise).rejects.toMatchObject({ name: 'InvalidSignatureException' })
    stranger.destroy()
  })

  it('works as the README has it', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
    const snippet = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
    const script = `${snippet}\nconsole.log(Plaintext.length, CiphertextBlob.length)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      cwd: new URL('../..', import.meta.url),
      env: { ...process.env, ...gateway.env },
    })
    expect(stdout).toMatch(/^32 \d+\n$/)
  })

  it('finds the endpoint by itself from what the env file exports', async () => {
    const { KMSClient: Client } = await import('@aws-sdk/client-kms')
    const before = { ...process.env }
    Object.assign(process.env, gateway.env)
    try {
      const client = new Client()
      const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId: 'alias/demo' }))
      expect(KeyMetadata?.KeyId).toBe(keyId)
      client.destroy()
    } finally {
      process.env = before
    }
  })
})
