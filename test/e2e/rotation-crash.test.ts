import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateKeyCommand, DecryptCommand, GenerateDataKeyCommand, type KMSClient } from '@aws-sdk/client-kms'
import Database from 'better-sqlite3'
import { describe, expect, it, vi } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'
import { tokenLabels } from '../support/token-labels.ts'

const ROUNDS = 8
/** Rounds go on until one was killed with a version in the making. */
const ROUNDS_MAX = 40
const KEYS = 24
/** A version that was left in the making is settled a minute after it was begun. */
const SETTLED_TIMEOUT_MS = 100_000
const SETTINGS = {
  P11KMS_KEYS_GCM_INVOCATIONS_MAX: '100000',
  P11KMS_KEYS_GCM_ROTATE_AT: '8',
  P11KMS_KEYS_GCM_LEASE_INVOCATIONS: '4',
  P11KMS_KEYS_MAINTENANCE_INTERVAL_MS: '1000',
}

interface StoredKey {
  readonly key_id: string
  readonly pending_version_id: string | null
}

function inStore<T>(home: string, read: (database: Database.Database) => T): T {
  const database = new Database(join(home, 'store.sqlite'), { readonly: true })
  try {
    return read(database)
  } finally {
    database.close()
  }
}

const keysOf = (home: string) =>
  inStore(home, (db) => db.prepare('select key_id, pending_version_id from master_key').all() as StoredKey[])

/** Labels that the token should have: both objects of every version, and no other. */
function labelsOf(home: string): string[] {
  const sql = 'select key_id, number from key_version order by key_id, number'
  const rows = inStore(
    home,
    (db) => db.prepare(sql).all() as { readonly key_id: string; readonly number: number }[],
  )
  return rows.flatMap(({ key_id, number }) =>
    ['enc', 'wrap'].map((role) => `kms/${key_id}/v${number}/${role}`),
  )
}

interface Blob {
  readonly blob: Uint8Array
  readonly plaintext: Uint8Array
}

/** Seals under each key in turn, so that all of them are due for rotation again and again. */
async function sealUntilGone(kms: KMSClient, keyIds: readonly string[], blobs: Blob[]): Promise<void> {
  try {
    for (let call = 0; ; call++) {
      const KeyId = keyIds[call % keyIds.length]
      const made = await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
      const { CiphertextBlob: blob, Plaintext: plaintext } = made
      if (blob && plaintext) blobs.push({ blob, plaintext })
    }
  } catch {
    // The gateway is gone.
  }
}

describe('kill -9 while keys are rotated over and over', () => {
  it('loses no version that sealed, and leaves no half-made one', { timeout: 400_000 }, async () => {
    const home = newHome()
    const blobs: Blob[] = []
    const keyIds: string[] = []
    let cutOff = 0
    let gateway: Gateway | undefined
    try {
      for (let round = 0; round < ROUNDS || (cutOff === 0 && round < ROUNDS_MAX); round++) {
        gateway = await startGateway({ home, environment: SETTINGS })
        const kms = sdkClient(gateway.env, { maxAttempts: 1 })
        for (; keyIds.length < KEYS; ) {
          const { KeyMetadata } = await kms.send(new CreateKeyCommand({}))
          if (KeyMetadata?.KeyId) keyIds.push(KeyMetadata.KeyId)
        }
        const loaded = sealUntilGone(kms, keyIds, blobs)
        await sleep(300 + Math.random() * 900)
        await gateway.stop('SIGKILL')
        await loaded
        kms.destroy()
        cutOff += keysOf(home).filter((key) => key.pending_version_id !== null).length
      }
      gateway = await startGateway({ home, environment: SETTINGS })
      const kms = sdkClient(gateway.env)
      for (const { blob, plaintext } of blobs) {
        const opened = await kms.send(new DecryptCommand({ CiphertextBlob: blob }))
        expect(opened.Plaintext).toEqual(plaintext)
      }
      kms.destroy()
      // Nothing seals now, so what is in the making is what was left.
      await vi.waitFor(
        () => expect(keysOf(home).filter((key) => key.pending_version_id !== null)).toEqual([]),
        { timeout: SETTLED_TIMEOUT_MS, interval: 500 },
      )
      await sleep(100)
      expect(await gateway.stop()).toBe(0)
      const expected = labelsOf(home)
      expect(expected.length).toBeGreaterThan(2 * (KEYS + ROUNDS))
      expect(cutOff).toBeGreaterThan(0)
      expect(new Set(tokenLabels(home))).toEqual(new Set(expected))
      expect(tokenLabels(home)).toHaveLength(expected.length)
    } finally {
      gateway?.process.kill('SIGKILL')
      removeHome(home)
    }
  })
})
