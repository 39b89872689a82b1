import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  type KMSClient,
  ReplicateKeyCommand,
  RotateKeyOnDemandCommand,
  UpdatePrimaryRegionCommand,
} from '@aws-sdk/client-kms'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { sdkCalls } from '../support/alibaba-clients.ts'
import { preparedHome, removeHome, type Service, sdkClient, startService } from '../support/gateway.ts'

const [HOME, AWAY] = ['us-east-1', 'eu-central-1']
const WORKERS = 2

let home: string
let service: Service
let clients: Readonly<Record<string, KMSClient>>

beforeAll(async () => {
  home = await preparedHome()
  const config = join(home, 'config.yaml')
  const text = readFileSync(config, 'utf8')
  const served = text.replace(/^( *- *)name: "?us-east-1"?$/m, `$&\n$1name: ${AWAY}`)
  expect(served).not.toBe(text)
  writeFileSync(config, served)
})
afterAll(() => removeHome(home))

beforeEach(() => start())
afterEach(() => stop())

async function start(): Promise<void> {
  const environment = { P11KMS_KEYS_KEY_VERSION_INTERVAL_DAYS: '0' }
  service = await startService({ home, workers: WORKERS, environment })
  const clientIn = (region: string) => sdkClient(service.env, { region })
  clients = { [HOME]: clientIn(HOME), [AWAY]: clientIn(AWAY) }
}

async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  for (const client of Object.values(clients)) client.destroy()
  const workers = [...service.workers().values()]
  await service.stop(signal)
  if (signal !== 'SIGKILL') return
  for (const pid of workers) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended with its supervisor.
    }
  }
}

function at(region: string): KMSClient {
  const client = clients[region]
  if (!client) throw new Error(`no client in ${region}`)
  return client
}

async function newKey(): Promise<string> {
  const { KeyMetadata } = await at(HOME).send(new CreateKeyCommand({ MultiRegion: true }))
  return KeyMetadata?.KeyId ?? ''
}

async function describeIn(region: string, KeyId: string) {
  return (await at(region).send(new DescribeKeyCommand({ KeyId }))).KeyMetadata
}

it('opens in each region what the other sealed, through rotations, moves and a restart, in every worker', async () => {
  const KeyId = await newKey()
  await at(HOME).send(new ReplicateKeyCommand({ KeyId, ReplicaRegion: AWAY }))
  const made = await at(HOME).send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
  const sealed = await at(AWAY).send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('away') }))
  await at(HOME).send(new RotateKeyOnDemandCommand({ KeyId }))
  const material = (await describeIn(HOME, KeyId))?.CurrentKeyMaterialId
  for (let times = 0; times < 8; times++)
    expect((await describeIn(AWAY, KeyId))?.CurrentKeyMaterialId).toBe(material)
  await at(HOME).send(new UpdatePrimaryRegionCommand({ KeyId, PrimaryRegion: AWAY }))
  await stop()
  await start()
  await at(AWAY).send(new RotateKeyOnDemandCommand({ KeyId }))
  const now = await at(HOME).send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('now') }))
  for (const region of [HOME, AWAY]) {
    const open = async (CiphertextBlob: Uint8Array | undefined) =>
      Buffer.from((await at(region).send(new DecryptCommand({ CiphertextBlob }))).Plaintext ?? [])
    expect(await open(made.CiphertextBlob)).toEqual(Buffer.from(made.Plaintext ?? []))
    expect((await open(sealed.CiphertextBlob)).toString()).toBe('away')
    expect((await open(now.CiphertextBlob)).toString()).toBe('now')
    expect((await describeIn(region, KeyId))?.MultiRegionConfiguration).toMatchObject({
      MultiRegionKeyType: region === AWAY ? 'PRIMARY' : 'REPLICA',
      PrimaryKey: { Region: AWAY },
      ReplicaKeys: [{ Region: HOME }],
    })
  }
})

it('has every version of a key pair in each region, made where the primary key is, in every worker at once', async () => {
  const accessKeyId = service.env['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? ''
  const accessKeySecret = service.env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] ?? ''
  const calls = sdkCalls(service.endpoint, { accessKeyId, accessKeySecret })
  const request = calls['openapi-core V3 query'] ?? expect.fail()
  const input = { MultiRegion: true, KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' } as const
  const { KeyMetadata } = await at(HOME).send(new CreateKeyCommand(input))
  const KeyId = KeyMetadata?.KeyId ?? ''
  await at(HOME).send(new ReplicateKeyCommand({ KeyId, ReplicaRegion: AWAY }))
  const listed = () => request('ListKeyVersions', { KeyId, RegionId: AWAY })
  // Both workers know the replica as it was.
  for (const { TotalCount } of await Promise.all(Array.from({ length: 8 }, listed)))
    expect(TotalCount).toBe(1)
  await expect(request('CreateKeyVersion', { KeyId, RegionId: AWAY })).rejects.toMatchObject({
    code: 'Rejected.UnsupportedOperation',
  })
  const { KeyVersion } = await request('CreateKeyVersion', { KeyId, RegionId: HOME })
  const { KeyVersionId = '' } = KeyVersion as Record<string, string>
  for (const { TotalCount } of await Promise.all(Array.from({ length: 8 }, listed)))
    expect(TotalCount).toBe(2)
  const named = {
    KeyId,
    KeyVersionId,
    Algorithm: 'ECDSA_SHA_256',
    Digest: Buffer.alloc(32, 1).toString('base64'),
  }
  const { Value } = await request('AsymmetricSign', { ...named, RegionId: AWAY })
  const checked = { ...named, Value: String(Value) }
  for (const RegionId of [HOME, AWAY])
    expect(await request('AsymmetricVerify', { ...checked, RegionId })).toMatchObject({ Value: true })
})

it('has each replica whole or not at all after it is killed amid replications', async () => {
  const keys = await Promise.all(Array.from({ length: 12 }, newKey))
  const acknowledged = new Set<string>()
  const replications = keys.map(async (KeyId) => {
    await at(HOME).send(new ReplicateKeyCommand({ KeyId, ReplicaRegion: AWAY }))
    acknowledged.add(KeyId)
  })
  await Promise.any(replications)
  await stop('SIGKILL')
  await Promise.allSettled(replications)
  expect(acknowledged.size).toBeGreaterThan(0)
  await start()
  for (const KeyId of keys) {
    const replica = await describeIn(AWAY, KeyId).catch(() => undefined)
    expect(acknowledged.has(KeyId) && !replica).toBe(false)
    const regions = (await describeIn(HOME, KeyId))?.MultiRegionConfiguration?.ReplicaKeys ?? []
    expect(regions.map(({ Region }) => Region)).toEqual(replica ? [AWAY] : [])
    if (!replica) await at(HOME).send(new ReplicateKeyCommand({ KeyId, ReplicaRegion: AWAY }))
    const sealed = await at(AWAY).send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('x') }))
    const opened = await at(HOME).send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob }))
    expect(Buffer.from(opened.Plaintext ?? []).toString()).toBe('x')
  }
})
