import { execFile } from 'node:child_process'
import { createPublicKey, hash, publicEncrypt, randomBytes, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { DecryptCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kmsSdk, type SdkCall, sdkCalls } from '../support/alibaba-clients.ts'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'

const CLIENTS = Object.keys(sdkCalls('http://127.0.0.1:1', { accessKeyId: 'a', accessKeySecret: 'b' }))
const HOSTILE = "!'()*~ +%2B&=#?ü€😀"

describe('the built program and unmodified clients of Alibaba Cloud', () => {
  const home = newHome()
  let gateway: Gateway
  let clients: Readonly<Record<string, SdkCall>>

  beforeAll(async () => {
    gateway = await startGateway({ home })
    clients = sdkCalls(gateway.endpoint, credential())
  })
  afterAll(async () => {
    await gateway.stop()
    removeHome(home)
  })

  const credential = () => ({
    accessKeyId: gateway.env['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? '',
    accessKeySecret: gateway.env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] ?? '',
  })

  it.each(CLIENTS)('%s makes, opens and re-encrypts data keys in the token', async (name) => {
    const request = clients[name] ?? expect.fail(name)
    const KeyId = 'alias/demo'
    const EncryptionContext = JSON.stringify({ [HOSTILE]: HOSTILE })
    const made = await request('GenerateDataKey', { KeyId, EncryptionContext })
    expect(made['KeyId']).toBe(gateway.env['P11KMS_KEY_ID'])
    const CiphertextBlob = String(made['CiphertextBlob'])
    const opened = await request('Decrypt', { CiphertextBlob, EncryptionContext })
    expect(opened['Plaintext']).toBe(made['Plaintext'])
    const inside = await request('GenerateDataKeyWithoutPlaintext', { KeyId, NumberOfBytes: '48' })
    const key = await request('Decrypt', { CiphertextBlob: String(inside['CiphertextBlob']) })
    expect(Buffer.from(String(key['Plaintext']), 'base64')).toHaveLength(48)
    const moved = await request('ReEncrypt', {
      CiphertextBlob,
      SourceEncryptionContext: EncryptionContext,
      DestinationKeyId: KeyId,
    })
    const again = await request('Decrypt', { CiphertextBlob: String(moved['CiphertextBlob']) })
    expect(again['Plaintext']).toBe(made['Plaintext'])
    await expect(request('Decrypt', { CiphertextBlob })).rejects.toMatchObject({ code: 'InvalidParameter' })
  })

  it('the typed client makes a key that both APIs use', async () => {
    const { client, requests } = kmsSdk(gateway.endpoint, credential())
    const { keyMetadata } = await client.createKey(new requests.CreateKeyRequest({}))
    const { keyId } = keyMetadata
    const sealed = await client.encrypt(new requests.EncryptRequest({ keyId, plaintext: 'x'.repeat(8192) }))
    const opened = await client.decrypt(
      new requests.DecryptRequest({ ciphertextBlob: sealed.ciphertextBlob }),
    )
    expect(opened.plaintext).toBe('x'.repeat(8192))
    const made = await client.generateDataKey(
      new requests.GenerateDataKeyRequest({ keyId, numberOfBytes: 16 }),
    )
    const aws = sdkClient(gateway.env)
    const { Plaintext } = await aws.send(
      new DecryptCommand({ CiphertextBlob: Buffer.from(made.ciphertextBlob, 'base64') }),
    )
    aws.destroy()
    expect(Buffer.from(Plaintext ?? []).toString('latin1')).toBe(made.plaintext)
  })

  it('key pairs and keys for MACs work in the token', async () => {
    const request = clients['openapi-core V3 query'] ?? expect.fail()
    const keyOf = async (parameters: Record<string, string>) => {
      const { KeyMetadata } = await request('CreateKey', parameters)
      const { KeyId, PrimaryKeyVersion } = KeyMetadata as Record<'KeyId' | 'PrimaryKeyVersion', string>
      return { KeyId, KeyVersionId: PrimaryKeyVersion }
    }
    const signing = await keyOf({ KeySpec: 'EC_P256' })
    const message = Buffer.from('message')
    const Digest = hash('sha256', message, 'buffer').toString('base64')
    const { Value } = await request('AsymmetricSign', { ...signing, Algorithm: 'ECDSA_SHA_256', Digest })
    const { PublicKey } = await request('GetPublicKey', signing)
    expect(verify('sha256', message, String(PublicKey), Buffer.from(String(Value), 'base64'))).toBe(true)
    const rsa = await keyOf({ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT/DECRYPT' })
    const named = { ...rsa, Algorithm: 'RSAES_OAEP_SHA_256' }
    const { CiphertextBlob } = await request('AsymmetricEncrypt', { ...named, Plaintext: 'eA==' })
    const opened = await request('AsymmetricDecrypt', { ...named, CiphertextBlob: String(CiphertextBlob) })
    expect(opened['Plaintext']).toBe('eA==')
    const { KeyId } = await keyOf({ KeySpec: 'HMAC_256' })
    const mac = { KeyId, Algorithm: 'HMAC_SHA_256', Message: 'eA==' }
    const { Mac } = await request('GenerateMac', mac)
    expect(await request('VerifyMac', { ...mac, Mac: String(Mac) })).toMatchObject({ Value: true })
  })

  it('material of the owner comes into the token', async () => {
    const request = clients['openapi-client V3 body'] ?? expect.fail()
    const { KeyMetadata } = await request('CreateKey', { Origin: 'EXTERNAL' })
    const { KeyId } = KeyMetadata as { KeyId: string }
    // The one that SoftHSM unwraps with inside.
    const wrapping = { WrappingAlgorithm: 'RSAES_OAEP_SHA_1', WrappingKeySpec: 'RSA_2048' }
    const { ImportToken, PublicKey } = await request('GetParametersForImport', { KeyId, ...wrapping })
    const key = createPublicKey({
      key: Buffer.from(String(PublicKey), 'base64'),
      format: 'der',
      type: 'spki',
    })
    const wrapped = publicEncrypt({ key, oaepHash: 'sha1' }, randomBytes(32)).toString('base64')
    const material = { EncryptedKeyMaterial: wrapped, ImportToken: String(ImportToken) }
    await request('ImportKeyMaterial', { KeyId, ...material, KeyMaterialExpireUnix: '0' })
    const made = await request('GenerateDataKey', { KeyId })
    const opened = await request('Decrypt', { CiphertextBlob: String(made['CiphertextBlob']) })
    expect(opened['Plaintext']).toBe(made['Plaintext'])
    await request('DeleteKeyMaterial', { KeyId })
    await expect(request('GenerateDataKey', { KeyId })).rejects.toMatchObject({
      code: 'Rejected.PendingImport',
    })
  })

  it('tags, policies and protection stay over a restart', async () => {
    const request = clients['pop-core POST'] ?? expect.fail()
    const { Policy: text } = await request('GetKeyPolicy', { KeyId: gateway.env['P11KMS_KEY_ID'] ?? '' })
    const policy = (Sid: string) => String(text).replace('kms default key policy', Sid)
    const parameters = { Tags: '[{"TagKey":"a","TagValue":"ü"}]', Policy: policy('made with the key') }
    const { KeyMetadata } = await request('CreateKey', parameters)
    const { KeyId } = KeyMetadata as { KeyId: string }
    expect(await request('GetKeyPolicy', { KeyId })).toMatchObject({ Policy: parameters.Policy })
    await request('SetKeyPolicy', { KeyId, Policy: policy('set') })
    await request('SetDeletionProtection', { ProtectedResourceArn: KeyId, EnableDeletionProtection: 'true' })
    await gateway.stop()
    gateway = await startGateway({ home })
    clients = sdkCalls(gateway.endpoint, credential())
    const again = clients['pop-core POST'] ?? expect.fail()
    expect(await again('ListResourceTags', { KeyId })).toMatchObject({
      Tags: { Tag: [{ KeyId, TagKey: 'a', TagValue: 'ü' }] },
    })
    expect(await again('GetKeyPolicy', { KeyId })).toMatchObject({ Policy: policy('set') })
    const refused = again('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: '7' })
    await expect(refused).rejects.toMatchObject({ code: 'Rejected.DeletionProtection' })
  })

  it('runs the command that the banner shows', async () => {
    const command = gateway
      .output()
      .split('\n')
      .find((line) => line.includes('@alicloud/pop-core'))
    const { stdout } = await promisify(execFile)('sh', ['-c', command ?? 'exit 9'], {
      env: { ...process.env, ...gateway.env },
    })
    expect(stdout).toMatch(/CiphertextBlob: '[A-Za-z0-9+/=]{100,}'/)
    expect(stdout).toContain(gateway.env['P11KMS_KEY_ID'])
  })

  it('leaves no secret of a request in the log', () => {
    const output = gateway.output()
    expect(output).not.toContain(credential().accessKeySecret)
    expect(output).not.toContain('Signature=')
  })
})
