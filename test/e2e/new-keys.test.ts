import { createPublicKey, hash, verify } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CreateKeyCommand,
  DescribeKeyCommand,
  GetPublicKeyCommand,
  type KMSClient,
  KMSInvalidSignatureException,
  type MessageType,
  ScheduleKeyDeletionCommand,
  SignCommand,
  type SigningAlgorithmSpec,
  VerifyCommand,
} from '@aws-sdk/client-kms'
import { ed25519ph } from '@noble/curves/ed25519.js'
import Database from 'better-sqlite3'
import { ObjectClass } from 'graphene-pk11'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { preparedHome, removeHome, type Service, sdkClient, startService } from '../support/gateway.ts'
import { describeNewKeys, NEW_KEYS } from '../support/new-keys.ts'
import { muOf } from '../support/noble-signatures.ts'
import { buildChaos } from '../support/p11chaos.ts'
import { eventually } from '../support/softhsm.ts'
import { tokenLabels } from '../support/token-labels.ts'

const MESSAGE = Buffer.from('attack at dawn')

describeNewKeys('the built program on a token that knows ML-DSA and Ed25519ph', () => {
  let home: string
  let service: Service
  let kms: KMSClient
  let environment: NodeJS.ProcessEnv

  async function start(): Promise<void> {
    service = await startService({ home, workers: 1, environment })
    kms = sdkClient(service.env, { maxAttempts: 1 })
  }
  async function stop(): Promise<void> {
    kms.destroy()
    await service.stop()
  }
  /** What no configuration can do: the deletion window of the key has ended. */
  function endDeletionWindow(KeyId: string): void {
    const database = new Database(join(home, 'store.sqlite'))
    const past = database.prepare('update master_key set deletion_at = ? where key_id = ?')
    expect(past.run(Date.now() - 60_000, KeyId).changes).toBe(1)
    database.close()
  }
  /** What an operator changes: the module in the configuration. */
  beforeAll(async () => {
    home = await preparedHome()
    const config = join(home, 'config.yaml')
    const text = readFileSync(config, 'utf8')
    const [, softHsm = ''] = /module: (\S+)/.exec(text) ?? []
    writeFileSync(config, text.replace(softHsm, buildChaos()))
    const rules = join(home, 'p11chaos.conf')
    writeFileSync(rules, NEW_KEYS.join('\n'))
    environment = {
      P11CHAOS_CONF: rules,
      P11CHAOS_MODULE: softHsm,
      P11KMS_KEYS_MAINTENANCE_INTERVAL_MS: '1000',
      P11KMS_KEYS_DESTRUCTION_GRACE_MS: '0',
    }
    await start()
  })
  afterAll(async () => {
    await stop()
    removeHome(home)
  })

  async function newKey(KeySpec: 'ML_DSA_44' | 'ML_DSA_65' | 'ML_DSA_87' | 'ECC_NIST_EDWARDS25519') {
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({ KeySpec, KeyUsage: 'SIGN_VERIFY' }))
    const KeyId = KeyMetadata?.KeyId ?? ''
    const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId }))
    const spki = Buffer.from(PublicKey ?? [])
    return { KeyId, spki, publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }) }
  }
  async function sign(
    KeyId: string,
    SigningAlgorithm: SigningAlgorithmSpec,
    Message: Buffer = MESSAGE,
    MessageType: MessageType = 'RAW',
  ): Promise<Buffer> {
    const input = { KeyId, SigningAlgorithm, Message, MessageType }
    const { Signature } = await kms.send(new SignCommand(input))
    const { SignatureValid } = await kms.send(new VerifyCommand({ ...input, Signature }))
    expect(SignatureValid).toBe(true)
    return Buffer.from(Signature ?? [])
  }

  it.each(['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87'] as const)(
    '%s: the SDK makes, describes, signs and verifies, and Node verifies with the public key',
    async (spec) => {
      const { KeyId, spki, publicKey } = await newKey(spec)
      const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId }))
      expect(KeyMetadata).toMatchObject({
        KeySpec: spec,
        KeyUsage: 'SIGN_VERIFY',
        KeyState: 'Enabled',
        SigningAlgorithms: ['ML_DSA_SHAKE_256'],
      })
      const signature = await sign(KeyId, 'ML_DSA_SHAKE_256')
      expect(verify(null, MESSAGE, publicKey, signature)).toBe(true)
      const ofMu = await sign(KeyId, 'ML_DSA_SHAKE_256', muOf(spki, MESSAGE), 'EXTERNAL_MU')
      expect(verify(null, MESSAGE, publicKey, ofMu)).toBe(true)
      const forged = new VerifyCommand({
        KeyId,
        Message: MESSAGE,
        SigningAlgorithm: 'ML_DSA_SHAKE_256',
        Signature: Buffer.concat([signature.subarray(0, -1), Buffer.of(7)]),
      })
      await expect(kms.send(forged)).rejects.toThrow(KMSInvalidSignatureException)
    },
  )

  it('Ed25519ph is signed and verified', async () => {
    const { KeyId, spki } = await newKey('ECC_NIST_EDWARDS25519')
    const digest = hash('sha512', MESSAGE, 'buffer')
    const signature = await sign(KeyId, 'ED25519_PH_SHA_512', digest, 'DIGEST')
    expect(ed25519ph.verify(signature, MESSAGE, spki.subarray(-32))).toBe(true)
  })

  it('a key outlives a restart, and its objects end with it', async () => {
    const { KeyId, publicKey } = await newKey('ML_DSA_65')
    await stop()
    await start()
    expect(verify(null, MESSAGE, publicKey, await sign(KeyId, 'ML_DSA_SHAKE_256'))).toBe(true)
    await kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
    const pending = kms.send(
      new SignCommand({ KeyId, Message: MESSAGE, SigningAlgorithm: 'ML_DSA_SHAKE_256' }),
    )
    await expect(pending).rejects.toMatchObject({ name: 'KMSInvalidStateException' })
    const labels = () =>
      [ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY]
        .flatMap((keyClass) => tokenLabels(home, keyClass))
        .filter((label) => label.includes(KeyId))
    expect(labels()).toHaveLength(2)
    await stop()
    endDeletionWindow(KeyId)
    await start()
    await eventually(() => labels().length === 0)
  })
})
