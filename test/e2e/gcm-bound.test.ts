import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  type KMSClient,
} from '@aws-sdk/client-kms'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'

const KEY = 'alias/demo'
const MAX = 60
const SETTINGS = {
  P11KMS_KEYS_GCM_INVOCATIONS_MAX: String(MAX),
  P11KMS_KEYS_GCM_ROTATE_AT: '20',
  P11KMS_KEYS_GCM_LEASE_INVOCATIONS: '4',
  P11KMS_KEYS_MAINTENANCE_INTERVAL_MS: '1000',
}

let home: string
let gateway: Gateway
let kms: KMSClient
/** What the gateways of one test wrote that were stopped. */
let logs: string
const plaintext = Buffer.from('of the first version')

beforeEach(async () => {
  home = newHome()
  logs = ''
  await start(SETTINGS)
})
afterEach(() => {
  kms.destroy()
  gateway.process.kill('SIGKILL')
  removeHome(home)
})

async function start(environment: NodeJS.ProcessEnv): Promise<void> {
  gateway = await startGateway({ home, environment })
  kms = sdkClient(gateway.env, { maxAttempts: 1 })
}

async function stop(signal?: NodeJS.Signals): Promise<void> {
  kms.destroy()
  await gateway.stop(signal)
  logs += gateway.output()
}

async function encrypt(): Promise<Uint8Array> {
  const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId: KEY, Plaintext: plaintext }))
  return CiphertextBlob ?? new Uint8Array()
}

async function expectOpens(blob: Uint8Array): Promise<void> {
  const { Plaintext } = await kms.send(new DecryptCommand({ CiphertextBlob: blob }))
  expect(Buffer.from(Plaintext ?? '').equals(plaintext)).toBe(true)
}

async function metrics(): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`${gateway.endpoint}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line.startsWith('p11kms_'))
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  )
}

/** A consistent copy of the store's file, or the store as the copy has it. */
function backUp(): string {
  const copy = join(home, 'backup.sqlite')
  const database = new Database(join(home, 'store.sqlite'))
  database.prepare('vacuum into ?').run(copy)
  database.close()
  return copy
}

function restore(copy: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(home, `store.sqlite${suffix}`), { force: true })
  copyFileSync(copy, join(home, 'store.sqlite'))
}

/** The first two bytes of a blob are its form; the version's id follows. */
const versionOf = (blob: Uint8Array) => Buffer.from(blob.subarray(2, 18)).toString('hex')

describe('a key that comes near the bound of its GCM invocations', () => {
  it('is rotated by itself, again and again, and opens what every version of it sealed', async () => {
    const blobs: Uint8Array[] = []
    const versions = () => new Set(blobs.map(versionOf)).size
    await vi.waitFor(
      async () => {
        blobs.push(await encrypt())
        expect(versions()).toBeGreaterThanOrEqual(3)
      },
      { timeout: 60_000, interval: 40 },
    )
    for (const blob of blobs) await expectOpens(blob)
    const seen = await metrics()
    expect(seen['p11kms_key_rotations_total{outcome="ok"}']).toBeGreaterThanOrEqual(2)
    expect(seen['p11kms_gcm_refusals_total']).toBe(0)
    expect(seen['p11kms_gcm_invocations_left']).toBeGreaterThan(0)
    expect(gateway.output()).toContain('rotated a key')
    await stop()
    await start(SETTINGS)
    for (const blob of blobs) await expectOpens(blob)
    blobs.push(await encrypt())
  })

  it('that cannot be rotated is refused at the bound whatever crashes on the way, and decrypts on', {
    timeout: 240_000,
  }, async () => {
    const first = await encrypt()
    const copy = backUp()
    await vi.waitFor(async () => expect(versionOf(await encrypt())).not.toBe(versionOf(first)), {
      timeout: 60_000,
      interval: 40,
    })
    await stop()
    // The token has a second version now that the store does not know of.
    restore(copy)
    await start(SETTINGS)
    let sealed = 0
    for (let crash = 0; crash < 3; crash++) {
      for (let seals = 0; seals < 7; seals++, sealed++)
        expect(versionOf(await encrypt())).toBe(versionOf(first))
      await stop('SIGKILL')
      await start(SETTINGS)
    }
    const refusal = { name: 'LimitExceededException', $metadata: { httpStatusCode: 400 } }
    const refused = async () =>
      encrypt().then(
        () => (sealed += 1),
        (error: unknown) => error,
      )
    let outcome: unknown
    while (typeof (outcome = await refused()) === 'number') expect(sealed).toBeLessThan(MAX)
    expect(outcome).toMatchObject(refusal)
    // Four crashes with blocks of four: what they held is lost, nothing is had twice.
    expect(sealed).toBeGreaterThan(MAX - 5 * 4 - 4)
    for (const command of [
      new GenerateDataKeyCommand({ KeyId: KEY, KeySpec: 'AES_256' }),
      new GenerateDataKeyWithoutPlaintextCommand({ KeyId: KEY, KeySpec: 'AES_256' }),
    ])
      await expect(kms.send(command)).rejects.toMatchObject(refusal)
    await expectOpens(first)
    expect((await fetch(`${gateway.endpoint}/readyz`)).status).toBe(200)
    // The check of /readyz was refused as well, and went on without the key.
    expect((await metrics())['p11kms_gcm_refusals_total']).toBe(4)
    expect((await metrics())['p11kms_gcm_invocations_left']).toBe(0)
    await stop()
    await start(SETTINGS)
    expect(await refused()).toMatchObject(refusal)
    // A rotation that a kill cut off keeps the next one waiting for a minute, and takes its last log lines along.
    await vi.waitFor(() => expect(gateway.output()).toContain('could not rotate a key'), {
      timeout: 100_000,
      interval: 200,
    })
    await stop()
    await start(SETTINGS)
    expect(logs).toContain('could not rotate a key')
    expect(logs).toContain('older backup')
    expect(logs).toContain('the last GCM invocations of a key version are leased')
  })
})
