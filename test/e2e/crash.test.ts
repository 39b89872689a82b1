import { setTimeout as sleep } from 'node:timers/promises'
import {
  CreateKeyCommand,
  DecryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  type KMSClient,
  paginateListKeys,
} from '@aws-sdk/client-kms'
import { describe, expect, it } from 'vitest'
import { freePort, type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'
import { tokenLabels } from '../support/token-labels.ts'

const ROUNDS = 8
const KEY_MAKERS = 2
const DATA_KEY_MAKERS = 6

const byText = (a: string, b: string) => (a < b ? -1 : 1)

/** What clients hold in their hands: each of it must still be good after any crash. */
interface Acknowledged {
  readonly keyIds: string[]
  readonly blobs: { readonly blob: Uint8Array; readonly plaintext: Uint8Array | undefined }[]
}

/** Calls in a loop until the gateway is gone; every answer is recorded. Resolves with the number of answers. */
async function untilGone(call: () => Promise<void>): Promise<number> {
  for (let answered = 0; ; answered++) {
    try {
      await call()
    } catch {
      return answered
    }
  }
}

async function load(kms: KMSClient, acknowledged: Acknowledged): Promise<number> {
  const anyKey = () =>
    acknowledged.keyIds[Math.floor(Math.random() * acknowledged.keyIds.length)] ?? 'alias/demo'
  const createKey = async () => {
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({}))
    if (KeyMetadata?.KeyId) acknowledged.keyIds.push(KeyMetadata.KeyId)
  }
  const makeDataKey = async () => {
    const input = { KeyId: anyKey(), KeySpec: 'AES_256' as const, EncryptionContext: { round: 'any' } }
    const { CiphertextBlob, Plaintext } =
      Math.random() < 0.3
        ? { ...(await kms.send(new GenerateDataKeyWithoutPlaintextCommand(input))), Plaintext: undefined }
        : await kms.send(new GenerateDataKeyCommand(input))
    if (CiphertextBlob) acknowledged.blobs.push({ blob: CiphertextBlob, plaintext: Plaintext })
  }
  const answered = await Promise.all([
    ...Array.from({ length: KEY_MAKERS }, () => untilGone(createKey)),
    ...Array.from({ length: DATA_KEY_MAKERS }, () => untilGone(makeDataKey)),
  ])
  return answered.reduce((sum, count) => sum + count, 0)
}

async function expectAllGood(kms: KMSClient, { keyIds, blobs }: Acknowledged): Promise<void> {
  for (const KeyId of keyIds) {
    const { Plaintext } = await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
    expect(Plaintext).toHaveLength(32)
  }
  for (const { blob, plaintext } of blobs) {
    const opened = await kms.send(
      new DecryptCommand({ CiphertextBlob: blob, EncryptionContext: { round: 'any' } }),
    )
    if (plaintext) expect(opened.Plaintext).toEqual(plaintext)
    else expect(opened.Plaintext).toHaveLength(32)
  }
}

async function listKeyIds(kms: KMSClient): Promise<string[]> {
  const keyIds: string[] = []
  for await (const page of paginateListKeys({ client: kms }, {})) {
    keyIds.push(...(page.Keys ?? []).map((key) => key.KeyId ?? ''))
  }
  return keyIds
}

describe('kill -9 at any moment', () => {
  it('loses no key that was acknowledged and no blob that was returned, and leaves no orphan in the token', async () => {
    const home = newHome()
    const port = await freePort()
    const acknowledged: Acknowledged = { keyIds: [], blobs: [] }
    let gateway: Gateway | undefined
    let answered = 0
    try {
      for (let round = 0; round < ROUNDS; round++) {
        gateway = await startGateway({ home, port })
        const kms = sdkClient(gateway.env, { maxAttempts: 1 })
        const loaded = load(kms, acknowledged)
        await sleep(100 + Math.random() * 900)
        expect(await gateway.stop('SIGKILL')).toBe('SIGKILL')
        answered += await loaded
        kms.destroy()

        gateway = await startGateway({ home, port })
        const after = sdkClient(gateway.env)
        await expectAllGood(after, acknowledged)
        const keyIds = await listKeyIds(after)
        expect(keyIds).toEqual(expect.arrayContaining(acknowledged.keyIds))
        after.destroy()
        expect(await gateway.stop()).toBe(0)
        // Nothing that a cut-off creation made is left behind.
        expect(tokenLabels(home)).toEqual(
          keyIds.flatMap((keyId) => [`kms/${keyId}/v1/enc`, `kms/${keyId}/v1/wrap`]).toSorted(byText),
        )
      }
      expect(acknowledged.keyIds.length).toBeGreaterThan(ROUNDS)
      expect(answered).toBeGreaterThan(ROUNDS * 10)
    } finally {
      gateway?.process.kill('SIGKILL')
      removeHome(home)
    }
  })
})
