import { hash, verify } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { ObjectClass } from 'graphene-pk11'
import { describe, expect, it, vi } from 'vitest'
import { parse, stringify } from 'yaml'
import { type SdkCall, sdkCalls } from '../support/alibaba-clients.ts'
import { type Gateway, preparedHome, removeHome, startGateway } from '../support/gateway.ts'
import { tokenLabels } from '../support/token-labels.ts'

const ROUNDS = 3
/** Rounds go on until one was killed with a version in the making. */
const ROUNDS_MAX = 20
const KEYS = 16
/** What a killed process leaves keeps the token from making pairs for as long, and ten seconds. */
const PAIR_TIMEOUT_MS = 1_000
const GATE_TIMEOUT_MS = 30_000
/** A version that was left in the making is settled a minute, and that time, after it was begun. */
const SETTLED_TIMEOUT_MS = 120_000
const SETTINGS = {
  P11KMS_KEYS_KEY_VERSION_INTERVAL_DAYS: '0',
  P11KMS_KEYS_MAINTENANCE_INTERVAL_MS: '1000',
}
const PAIR_CLASSES = [ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY]
const message = Buffer.from('message')
const SIGN = { Algorithm: 'ECDSA_SHA_256', Digest: hash('sha256', message, 'buffer').toString('base64') }

function inStore<T>(home: string, sql: string): T[] {
  const database = new Database(join(home, 'store.sqlite'), { readonly: true })
  try {
    return database.prepare(sql).all() as T[]
  } finally {
    database.close()
  }
}

const pendingIn = (home: string) =>
  inStore<{ readonly key_id: string }>(
    home,
    'select key_id from master_key where pending_version_id is not null',
  )

/** Labels that the token should have of key pairs: both objects of every version, and no other. */
function labelsOf(home: string): string[] {
  const rows = inStore<{ readonly key_id: string; readonly number: number }>(
    home,
    "select v.key_id, v.number from key_version v join master_key k on k.key_id = v.key_id where k.spec = 'ECC_NIST_P256'",
  )
  return rows.flatMap(({ key_id, number }) =>
    ['priv', 'pub'].map((role) => `kms/${key_id}/v${number}/${role}`),
  )
}

/** A home whose token gives pairs up soon. */
async function impatientHome(): Promise<string> {
  const home = await preparedHome()
  const file = join(home, 'config.yaml')
  const config = parse(readFileSync(file, 'utf8')) as { tokens: { pairTimeoutMs?: number }[] }
  for (const token of config.tokens) token.pairTimeoutMs = PAIR_TIMEOUT_MS
  writeFileSync(file, stringify(config))
  return home
}

function clientOf({ env, endpoint }: Gateway): SdkCall {
  const credential = {
    accessKeyId: env['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? '',
    accessKeySecret: env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] ?? '',
  }
  return sdkCalls(endpoint, credential)['openapi-core V3 query'] ?? expect.fail()
}

interface Signed {
  readonly KeyId: string
  readonly KeyVersionId: string
  readonly Value: string
}

async function newKey(request: SdkCall): Promise<string> {
  const made = () => request('CreateKey', { KeySpec: 'EC_P256' })
  // Until the lease of the process before has ended.
  const { KeyMetadata } = await vi.waitFor(made, { timeout: GATE_TIMEOUT_MS, interval: 500 })
  return (KeyMetadata as { readonly KeyId: string }).KeyId
}

/** Makes versions of each key in turn, and signs with each. */
async function growUntilGone(request: SdkCall, keyIds: readonly string[], signed: Signed[]): Promise<void> {
  try {
    for (let call = 0; ; call++) {
      const KeyId = keyIds[call % keyIds.length] ?? ''
      const { KeyVersion } = await request('CreateKeyVersion', { KeyId })
      const { KeyVersionId } = KeyVersion as { readonly KeyVersionId: string }
      const { Value } = await request('AsymmetricSign', { KeyId, KeyVersionId, ...SIGN })
      signed.push({ KeyId, KeyVersionId, Value: String(Value) })
    }
  } catch {
    // The gateway is gone.
  }
}

describe('kill -9 while versions of key pairs are made over and over', () => {
  it('loses no version that was acknowledged, and leaves no half-made one', {
    timeout: 500_000,
  }, async () => {
    const home = await impatientHome()
    const signed: Signed[] = []
    const keyIds: string[] = []
    let cutOff = 0
    let gateway: Gateway | undefined
    try {
      for (let round = 0; round < ROUNDS || (cutOff === 0 && round < ROUNDS_MAX); round++) {
        gateway = await startGateway({ home, environment: SETTINGS })
        const request = clientOf(gateway)
        // At least one, so that the gate is open then; keys that were cut off are not grown on.
        do keyIds.push(await newKey(request))
        while (keyIds.length < KEYS)
        const grown = growUntilGone(request, keyIds.toReversed(), signed)
        await sleep(200 + Math.random() * 400)
        await gateway.stop('SIGKILL')
        await grown
        cutOff += pendingIn(home).length
      }
      gateway = await startGateway({ home, environment: SETTINGS })
      const request = clientOf(gateway)
      await vi.waitFor(() => expect(pendingIn(home)).toEqual([]), {
        timeout: SETTLED_TIMEOUT_MS,
        interval: 500,
      })
      for (const { KeyId, KeyVersionId, Value } of signed) {
        const { PublicKey } = await request('GetPublicKey', { KeyId, KeyVersionId })
        expect(verify('sha256', message, String(PublicKey), Buffer.from(Value, 'base64'))).toBe(true)
      }
      // Versions that were finished after the crash as well: what the token signs is what the store says.
      for (const { key_id: KeyId, version_id: KeyVersionId } of inStore<Record<string, string>>(
        home,
        "select v.key_id, v.version_id from key_version v join master_key k on k.key_id = v.key_id where k.spec = 'ECC_NIST_P256'",
      )) {
        const named = { KeyId: KeyId ?? '', KeyVersionId: KeyVersionId ?? '', ...SIGN }
        const { Value } = await request('AsymmetricSign', named)
        expect(await request('AsymmetricVerify', { ...named, Value: String(Value) })).toMatchObject({
          Value: true,
        })
      }
      expect(await gateway.stop()).toBe(0)
      const expected = labelsOf(home)
      expect(signed.length).toBeGreaterThan(ROUNDS)
      expect(cutOff).toBeGreaterThan(0)
      const labels = PAIR_CLASSES.flatMap((keyClass) => tokenLabels(home, keyClass))
      expect(new Set(labels)).toEqual(new Set(expected))
      expect(labels).toHaveLength(expected.length)
    } finally {
      gateway?.process.kill('SIGKILL')
      removeHome(home)
    }
  })
})
