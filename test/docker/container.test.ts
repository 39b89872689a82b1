import { setTimeout as sleep } from 'node:timers/promises'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  type KMSClient,
  ReEncryptCommand,
} from '@aws-sdk/client-kms'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { kmsSdk, sdkCalls } from '../support/alibaba-clients.ts'
import {
  buildImage,
  type Container,
  describeWithEngine,
  eventually,
  HOME,
  newVolume,
  removeAll,
  startAgain,
  startContainer,
} from '../support/docker.ts'
import { type GatewayEnv, sdkClient } from '../support/gateway.ts'

const EncryptionContext = { app: 'payments' }

const alibabaCredential = (env: GatewayEnv) => ({
  accessKeyId: env['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? '',
  accessKeySecret: env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] ?? '',
})

async function dataKey(kms: KMSClient, KeyId: string) {
  return await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', EncryptionContext }))
}

async function open(kms: KMSClient, CiphertextBlob: Uint8Array | undefined): Promise<Uint8Array | undefined> {
  return (await kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }))).Plaintext
}

/** Every restriction that a cluster may put on a container. */
const RESTRICTED = {
  ReadonlyRootfs: true,
  CapDrop: ['ALL'],
  SecurityOpt: ['no-new-privileges'],
  PidsLimit: 200,
  Memory: 512 * 1024 * 1024,
}

describeWithEngine('a container', () => {
  beforeAll(buildImage)
  afterAll(removeAll)

  describe('with the unmodified AWS SDK', () => {
    let kms: KMSClient
    beforeAll(async () => {
      kms = await (await startContainer({ host: RESTRICTED })).client()
    })
    afterAll(() => kms.destroy())

    it('gives data keys that open again, with and without their plaintext', async () => {
      const made = await dataKey(kms, 'alias/demo')
      expect(made.Plaintext).toHaveLength(32)
      expect(await open(kms, made.CiphertextBlob)).toEqual(made.Plaintext)
      const sealed = await kms.send(
        new GenerateDataKeyWithoutPlaintextCommand({
          KeyId: 'alias/demo',
          NumberOfBytes: 33,
          EncryptionContext,
        }),
      )
      expect(await open(kms, sealed.CiphertextBlob)).toHaveLength(33)
    })

    it('makes keys and aliases, encrypts, and moves a ciphertext to another key', async () => {
      const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Description: 'in a container' }))
      const TargetKeyId = KeyMetadata?.KeyId ?? ''
      await kms.send(new CreateAliasCommand({ AliasName: 'alias/moved', TargetKeyId }))
      const Plaintext = Buffer.from('a text')
      const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId: 'alias/demo', Plaintext }))
      const moved = await kms.send(
        new ReEncryptCommand({
          CiphertextBlob,
          DestinationKeyId: 'alias/moved',
          DestinationEncryptionContext: EncryptionContext,
        }),
      )
      expect(moved.KeyId).toContain(TargetKeyId)
      expect(Buffer.from((await open(kms, moved.CiphertextBlob)) ?? [])).toEqual(Plaintext)
    })

    it('makes key pairs', async () => {
      const pair = await kms.send(
        new GenerateDataKeyPairCommand({
          KeyId: 'alias/demo',
          KeyPairSpec: 'ECC_NIST_P256',
          EncryptionContext,
        }),
      )
      expect(await open(kms, pair.PrivateKeyCiphertextBlob)).toEqual(pair.PrivateKeyPlaintext)
    })

    it('refuses a wrong encryption context', async () => {
      const { CiphertextBlob } = await dataKey(kms, 'alias/demo')
      await expect(kms.send(new DecryptCommand({ CiphertextBlob }))).rejects.toMatchObject({
        name: 'InvalidCiphertextException',
      })
    })
  })

  describe('with the unmodified Alibaba Cloud SDKs', () => {
    const contextText = JSON.stringify(EncryptionContext)
    let started: Container
    beforeAll(async () => {
      started = await startContainer({ host: RESTRICTED })
    })

    it('gives data keys that open again, by each client and signature, and by the AWS SDK', async () => {
      const env = await started.env()
      const kms = sdkClient(env)
      const calls = Object.entries(sdkCalls(started.endpoint, alibabaCredential(env)))
      expect(calls.length).toBeGreaterThan(4)
      for (const [name, request] of calls) {
        const made = await request('GenerateDataKey', { KeyId: 'alias/demo', EncryptionContext: contextText })
        const CiphertextBlob = String(made['CiphertextBlob'])
        const opened = await request('Decrypt', { CiphertextBlob, EncryptionContext: contextText })
        expect(opened['Plaintext'], name).toBe(made['Plaintext'])
        const byAws = await open(kms, Buffer.from(CiphertextBlob, 'base64'))
        expect(Buffer.from(byAws ?? []).toString('latin1'), name).toBe(made['Plaintext'])
        await expect(request('Decrypt', { CiphertextBlob }), name).rejects.toMatchObject({
          code: 'InvalidParameter',
        })
      }
      kms.destroy()
    })

    it('makes keys by the typed client', async () => {
      const { client, requests } = kmsSdk(started.endpoint, alibabaCredential(await started.env()))
      const { keyMetadata } = await client.createKey(new requests.CreateKeyRequest({}))
      const { keyId } = keyMetadata
      const { ciphertextBlob } = await client.encrypt(
        new requests.EncryptRequest({ keyId, plaintext: 'a text' }),
      )
      const opened = await client.decrypt(new requests.DecryptRequest({ ciphertextBlob }))
      expect(opened.plaintext).toBe('a text')
    })
  })

  it.each(['1000680000:0', '4711:4712', '0:0'])('serves as user %s, from a read-only root', async (user) => {
    const started = await startContainer({ user, host: RESTRICTED })
    expect((await started.run('id', '-u')).trim()).toBe(user.split(':')[0])
    expect((await started.run('stat', '-c', '%a', HOME)).trim()).toBe('700')
    const kms = await started.client()
    expect((await dataKey(kms, 'alias/demo')).Plaintext).toHaveLength(32)
    kms.destroy()
  })

  it('is told healthy by the engine', async () => {
    const { container } = await startContainer()
    await eventually(async () => (await container.inspect()).State.Health?.Status === 'healthy')
    expect((await container.inspect()).State.Health?.Log[0]?.Output).toContain('"ready":true')
  })

  it('opens what another container on the same volume sealed, also with worker processes and its own configuration', async () => {
    const volume = await newVolume()
    const first = await startContainer({ volume })
    const env = await first.env()
    const before = await first.client()
    const made = await dataKey(before, 'alias/demo')
    before.destroy()
    await first.container.stop()
    expect((await first.container.inspect()).State.ExitCode).toBe(0)
    const command = ['serve', '--config', `${HOME}/config.yaml`, '--workers', '2']
    for (const options of [{}, { command }]) {
      const next = await startContainer({ volume, ...options })
      const kms = sdkClient({ ...env, AWS_ENDPOINT_URL_KMS: next.endpoint })
      expect(await open(kms, made.CiphertextBlob)).toEqual(made.Plaintext)
      kms.destroy()
      await next.container.stop({ t: 30 })
      expect((await next.container.inspect()).State.ExitCode).toBe(0)
    }
  })

  it('falls out of readiness while its token is gone, and comes back by itself', async () => {
    const { readyz, run, client } = await startContainer()
    const kms = await client()
    await run('mv', `${HOME}/tokens`, `${HOME}/tokens.away`)
    await eventually(async () => (await readyz()).status === 503)
    await run('mv', `${HOME}/tokens.away`, `${HOME}/tokens`)
    await eventually(async () => (await readyz()).status === 200)
    await eventually(async () => (await dataKey(kms, 'alias/demo').catch(() => undefined)) !== undefined)
    kms.destroy()
  })

  describe('that is ended under load', () => {
    const clients: KMSClient[] = []
    afterEach(() => {
      for (const client of clients.splice(0)) client.destroy()
    })

    it.each([
      ['stopped', async ({ container }: Container) => await container.stop({ t: 30 })],
      ['killed', async ({ container }: Container) => await container.kill()],
    ] as const)(
      '%s: every key and every data key that was acknowledged is there afterwards',
      async (_how, end) => {
        const first = await startContainer()
        const env = await first.env()
        const kms = sdkClient(env, { maxAttempts: 1 })
        clients.push(kms)
        const acknowledged: { readonly keyId: string; readonly blob: Uint8Array | undefined }[] = []
        const ending = new AbortController()
        const pump = async () => {
          while (!ending.signal.aborted) {
            const { KeyMetadata } = await kms.send(new CreateKeyCommand({}))
            const keyId = KeyMetadata?.KeyId ?? ''
            acknowledged.push({ keyId, blob: undefined })
            acknowledged.push({ keyId, blob: (await dataKey(kms, keyId)).CiphertextBlob })
          }
        }
        const pumps = Array.from({ length: 8 }, () => pump().catch(() => undefined))
        await eventually(async () => acknowledged.length > 20)
        await sleep(200)
        await end(first)
        ending.abort()
        await Promise.all(pumps)

        const second = await startAgain(first.container)
        const again = sdkClient({ ...env, AWS_ENDPOINT_URL_KMS: second.endpoint })
        clients.push(again)
        for (const { keyId, blob } of acknowledged) {
          const { KeyMetadata } = await again.send(new DescribeKeyCommand({ KeyId: keyId }))
          expect(KeyMetadata?.KeyState).toBe('Enabled')
          if (blob) expect(await open(again, blob)).toHaveLength(32)
          else expect((await dataKey(again, keyId)).Plaintext).toHaveLength(32)
        }
      },
    )
  })
})
