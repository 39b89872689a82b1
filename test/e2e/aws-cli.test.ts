import { execFile, execFileSync } from 'node:child_process'
import { verify } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { RotateKeyOnDemandCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'
import { makeMaterial } from '../support/imported-keys.ts'
import { wrapMaterial } from '../support/wrap-material.ts'

const run = promisify(execFile)

/** The AWS CLI of the system; where it is missing the tests are skipped, unless REQUIRE_ALL says that none may be. */
function awsCliIsThere(): boolean {
  try {
    execFileSync('aws', ['--version'], { stdio: 'ignore' })
    return true
  } catch (error) {
    if (process.env['REQUIRE_ALL'] === '1')
      throw new Error('the AWS CLI is missing (Debian: awscli)', { cause: error })
    return false
  }
}

describe.skipIf(!awsCliIsThere())('the AWS CLI (skipped where awscli is not installed)', () => {
  let gateway: Gateway

  beforeAll(async () => {
    gateway = await startGateway({ home: newHome() })
  })
  afterAll(async () => {
    await gateway.stop()
    removeHome(gateway.home)
  })

  async function aws(...args: readonly string[]): Promise<Record<string, unknown>> {
    const environment = { ...process.env, ...gateway.env, AWS_PAGER: '', AWS_EC2_METADATA_DISABLED: 'true' }
    const all = ['kms', ...args, '--endpoint-url', gateway.endpoint, '--output', 'json']
    const { stdout } = await run('aws', all, { env: environment })
    return stdout.trim() === '' ? {} : JSON.parse(stdout)
  }

  async function someArn(): Promise<string> {
    const { KeyMetadata } = await aws('describe-key', '--key-id', 'alias/demo')
    return (KeyMetadata as { readonly Arn: string }).Arn
  }

  it('makes a key, names it, gets a data key and opens it', async () => {
    const created = await aws('create-key', '--description', 'from the command line')
    const { KeyId } = created['KeyMetadata'] as { KeyId: string }
    await aws('create-alias', '--alias-name', 'alias/cli', '--target-key-id', KeyId)
    const made = await aws('generate-data-key', '--key-id', 'alias/cli', '--key-spec', 'AES_256')
    const blob = join(gateway.home, 'blob')
    writeFileSync(blob, Buffer.from(String(made['CiphertextBlob']), 'base64'))
    const opened = await aws('decrypt', '--ciphertext-blob', `fileb://${blob}`)
    expect(opened['Plaintext']).toBe(made['Plaintext'])
    expect(readFileSync(blob)).not.toHaveLength(0)
    const listed = await aws('list-aliases', '--key-id', KeyId)
    expect(listed['Aliases']).toMatchObject([{ AliasName: 'alias/cli', TargetKeyId: KeyId }])
  })

  /** The file of a blob that an answer holds. */
  function blobOf(answer: Record<string, unknown>): string {
    const file = join(gateway.home, `blob-${blobs++}`)
    writeFileSync(file, Buffer.from(String(answer['CiphertextBlob']), 'base64'))
    return `fileb://${file}`
  }
  let blobs = 0

  it('brings an elliptic curve key that OpenSSL made, and signs with it', async () => {
    const kind = ['--origin', 'EXTERNAL', '--key-spec', 'ECC_NIST_P256', '--key-usage', 'SIGN_VERIFY']
    const { KeyId } = (await aws('create-key', ...kind))['KeyMetadata'] as { KeyId: string }
    const named = ['--key-id', KeyId]
    const wrapping = ['--wrapping-algorithm', 'RSAES_OAEP_SHA_1', '--wrapping-key-spec', 'RSA_2048']
    const parameters = await aws('get-parameters-for-import', ...named, ...wrapping)
    const fileOf = (name: string, bytes: Buffer) => {
      writeFileSync(join(gateway.home, name), bytes)
      return `fileb://${join(gateway.home, name)}`
    }
    const owner = makeMaterial('ECC_NIST_P256')
    const wrappingKey = Buffer.from(String(parameters['PublicKey']), 'base64')
    const wrapped = wrapMaterial('RSAES_OAEP_SHA_1', wrappingKey, owner.bytes)
    const token = Buffer.from(String(parameters['ImportToken']), 'base64')
    await aws(
      'import-key-material',
      ...named,
      '--import-token',
      fileOf('import-token', token),
      '--encrypted-key-material',
      fileOf('wrapped', wrapped),
      '--expiration-model',
      'KEY_MATERIAL_DOES_NOT_EXPIRE',
    )
    const message = ['--message', fileOf('message', Buffer.from('from the command line'))]
    const signed = await aws('sign', ...named, ...message, '--signing-algorithm', 'ECDSA_SHA_256')
    const signature = Buffer.from(String(signed['Signature']), 'base64')
    const text = Buffer.from('from the command line')
    expect(owner.publicKey && verify('sha256', text, owner.publicKey, signature)).toBe(true)
  })

  it('encrypts, re-encrypts and decrypts with encryption contexts, before and after a rotation', async () => {
    const key = gateway.env['P11KMS_KEY_ID'] ?? ''
    const plaintext = join(gateway.home, 'plaintext')
    writeFileSync(plaintext, 'attack at dawn')
    const context = ['--encryption-context', 'purpose=cli,stage=first']
    const sealed = await aws('encrypt', '--key-id', key, '--plaintext', `fileb://${plaintext}`, ...context)
    // Debian's CLI is older than on-demand rotation.
    const client = sdkClient(gateway.env)
    await client.send(new RotateKeyOnDemandCommand({ KeyId: key }))
    client.destroy()
    const source = [
      '--ciphertext-blob',
      blobOf(sealed),
      '--source-encryption-context',
      'purpose=cli,stage=first',
    ]
    const destination = [
      '--destination-key-id',
      'alias/demo',
      '--destination-encryption-context',
      'stage=second',
    ]
    const moved = await aws('re-encrypt', ...source, ...destination)
    const there = ['--ciphertext-blob', blobOf(moved), '--encryption-context', 'stage=second']
    const opened = await aws('decrypt', ...there)
    expect(Buffer.from(String(opened['Plaintext']), 'base64').toString()).toBe('attack at dawn')
    const wrong = aws('decrypt', '--ciphertext-blob', blobOf(sealed))
    await expect(wrong).rejects.toThrow('InvalidCiphertextException')
  })

  it('takes a key through its life', async () => {
    const made = await aws('create-key', '--description', 'short')
    const { KeyId } = made['KeyMetadata'] as { KeyId: string }
    const state = async () => {
      const { KeyMetadata } = await aws('describe-key', '--key-id', KeyId)
      return (KeyMetadata as { KeyState: string }).KeyState
    }
    await aws('disable-key', '--key-id', KeyId)
    expect(await state()).toBe('Disabled')
    await aws('enable-key', '--key-id', KeyId)
    await aws('enable-key-rotation', '--key-id', KeyId)
    expect(await aws('get-key-rotation-status', '--key-id', KeyId)).toMatchObject({
      KeyRotationEnabled: true,
    })
    await aws('schedule-key-deletion', '--key-id', KeyId, '--pending-window-in-days', '7')
    expect(await state()).toBe('PendingDeletion')
    const refused = aws('generate-data-key', '--key-id', KeyId, '--key-spec', 'AES_256')
    await expect(refused).rejects.toThrow(/KMSInvalidStateException.*is pending deletion\./)
    await aws('cancel-key-deletion', '--key-id', KeyId)
    expect(await state()).toBe('Disabled')
  })

  it('makes data key pairs and random bytes, and lists keys page by page', async () => {
    const key = gateway.env['P11KMS_KEY_ID'] ?? ''
    const pair = await aws('generate-data-key-pair', '--key-id', key, '--key-pair-spec', 'ECC_NIST_P256')
    const opened = await aws(
      'decrypt',
      '--ciphertext-blob',
      blobOf({ CiphertextBlob: pair['PrivateKeyCiphertextBlob'] }),
    )
    expect(opened['Plaintext']).toBe(pair['PrivateKeyPlaintext'])
    const random = await aws('generate-random', '--number-of-bytes', '33')
    expect(Buffer.from(String(random['Plaintext']), 'base64')).toHaveLength(33)
    const listed = await aws('list-keys', '--page-size', '1')
    expect(listed['Keys']).toEqual(expect.arrayContaining([expect.objectContaining({ KeyId: key })]))
  })

  it('asks STS who it is at the same endpoint, whatever its keys are for', async () => {
    const account = /^arn:aws:kms:[^:]*:(\d+):/.exec(await someArn())?.[1]
    const user = gateway.env['AWS_ACCESS_KEY_ID']
    const identity = { Account: account, UserId: user, Arn: `arn:aws:iam::${account}:user/${user}` }
    const environment = { ...process.env, ...gateway.env, AWS_PAGER: '', AWS_EC2_METADATA_DISABLED: 'true' }
    const ask = async (...args: readonly string[]) => {
      const all = ['sts', 'get-caller-identity', '--output', 'json', ...args]
      return JSON.parse((await run('aws', all, { env: environment })).stdout) as unknown
    }
    expect(await ask('--endpoint-url', gateway.endpoint)).toEqual(identity)
    const other = ['sts', 'get-session-token', '--endpoint-url', gateway.endpoint]
    await expect(run('aws', other, { env: environment })).rejects.toThrow(/InvalidAction.*GetSessionToken/)
  })

  it('shows the error and its text', async () => {
    const failed = aws('generate-data-key', '--key-id', 'alias/nobody', '--key-spec', 'AES_256')
    await expect(failed).rejects.toThrow(/NotFoundException.*alias\/nobody is not found/)
  })

  it('works with the very command that the quick start prints', async () => {
    const line = /^ {2}(aws kms generate-data-key .*)$/m.exec(gateway.output())?.[1] ?? ''
    const script = `. ${join(gateway.home, 'env')}\n${line}`
    const { stdout } = await run('sh', ['-c', script], { env: { ...process.env, AWS_PAGER: '' } })
    expect(stdout).toContain('CiphertextBlob')
    const node = /^ {2}(\S*node -e .*)$/m.exec(gateway.output())?.[1] ?? ''
    const sdk = await run('sh', ['-c', `. ${join(gateway.home, 'env')}\n${node}`])
    expect(sdk.stdout).toContain('CiphertextBlob')
  })
})
