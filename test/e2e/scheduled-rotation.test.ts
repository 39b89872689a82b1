import { join } from 'node:path'
import {
  DecryptCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  GetKeyRotationStatusCommand,
  type KMSClient,
  ListKeyRotationsCommand,
  ListKeysCommand,
  RotateKeyOnDemandCommand,
} from '@aws-sdk/client-kms'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { preparedHome, removeHome, type Service, sdkClient, startService } from '../support/gateway.ts'
import { tokenLabels } from '../support/token-labels.ts'

const ENVIRONMENT = { P11KMS_KEYS_MAINTENANCE_INTERVAL_MS: '1000' }
const DAY_MS = 86_400_000
/** Both look for keys to rotate as soon as they serve. */
const WORKERS = 2

let home: string
let service: Service
let kms: KMSClient
let KeyId: string

beforeEach(async () => {
  home = await preparedHome()
  await start()
  const { Keys } = await kms.send(new ListKeysCommand({}))
  KeyId = Keys?.[0]?.KeyId ?? ''
})
afterEach(async () => {
  kms.destroy()
  await service.stop('SIGKILL')
  removeHome(home)
})

async function start(): Promise<void> {
  service = await startService({ home, workers: WORKERS, environment: ENVIRONMENT })
  kms = sdkClient(service.env)
}

async function restart(): Promise<void> {
  kms.destroy()
  expect(await service.stop()).toBe(0)
  await start()
}

/** What no configuration can do: the key is due since a minute. */
function makeDue(): void {
  const database = new Database(join(home, 'store.sqlite'))
  const moved = database.prepare('update master_key set rotation_next_at = ?').run(Date.now() - 60_000)
  database.close()
  expect(moved.changes).toBe(1)
}

async function encrypt(): Promise<Uint8Array> {
  const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('kept') }))
  return CiphertextBlob ?? new Uint8Array()
}

async function expectOpens(blobs: readonly Uint8Array[]): Promise<number> {
  const materials = new Set<string | undefined>()
  for (const CiphertextBlob of blobs) {
    const { Plaintext, KeyMaterialId } = await kms.send(new DecryptCommand({ CiphertextBlob }))
    expect(Buffer.from(Plaintext ?? []).toString()).toBe('kept')
    materials.add(KeyMaterialId)
  }
  return materials.size
}

const rotations = async () => (await kms.send(new ListKeyRotationsCommand({ KeyId }))).Rotations ?? []

describe('a key with a rotation schedule', () => {
  it('is rotated once by two workers that both see it due, and opens all that it sealed after restarts', {
    timeout: 120_000,
  }, async () => {
    await kms.send(new EnableKeyRotationCommand({ KeyId, RotationPeriodInDays: 90 }))
    const blobs = [await encrypt()]
    await kms.send(new RotateKeyOnDemandCommand({ KeyId }))
    blobs.push(await encrypt())
    await restart()
    expect(await expectOpens(blobs)).toBe(2)
    kms.destroy()
    expect(await service.stop()).toBe(0)
    makeDue()
    await start()
    await vi.waitFor(async () => expect(await rotations()).toHaveLength(2), {
      timeout: 30_000,
      interval: 100,
    })
    // Two more rounds of either worker.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect((await rotations()).map(({ RotationType }) => RotationType)).toEqual(['ON_DEMAND', 'AUTOMATIC'])
    const status = await kms.send(new GetKeyRotationStatusCommand({ KeyId }))
    expect(status).toMatchObject({ KeyRotationEnabled: true, RotationPeriodInDays: 90 })
    const days = ((status.NextRotationDate?.getTime() ?? 0) - Date.now()) / DAY_MS
    expect(Math.round(days)).toBe(90)
    blobs.push(await encrypt())
    expect(await expectOpens(blobs)).toBe(3)
    await restart()
    expect(await expectOpens(blobs)).toBe(3)
    const rotated = service.log().filter(({ msg }) => msg?.startsWith('rotated a key'))
    expect(rotated).toEqual([])
    const versions = tokenLabels(home).filter((label) => label.startsWith(`kms/${KeyId}/`))
    expect(versions).toHaveLength(2 * 3)
  })
})
