import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  DecryptCommand,
  DescribeKeyCommand,
  GenerateDataKeyCommand,
  GetKeyPolicyCommand,
  ListKeysCommand,
  ListResourceTagsCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import {
  buildImage,
  type Container,
  describeWithEngine,
  HOME,
  newVolume,
  removeAll,
  startAgain,
  startContainer,
} from '../support/docker.ts'
import { sdkClient } from '../support/gateway.ts'

const fromRoot = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const SEED = '/etc/p11kms/seed.yaml'
const KEY_ID = '11111111-2222-4333-8444-000000000001'

/** A client with a credential of the example. */
function clientOf(container: Container, account: string, accessKeyId: string, region = 'us-east-1') {
  return sdkClient({
    AWS_ENDPOINT_URL_KMS: container.endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: `only-for-tests-${account}`,
  })
}

describeWithEngine('a container with a seed', () => {
  let folder: string
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'p11kms-seed-'))
    // The user of the container is nobody here.
    chmodSync(folder, 0o755)
    await buildImage()
  })
  afterAll(async () => {
    await removeAll()
    rmSync(folder, { recursive: true, force: true })
  })

  it('has its accounts and keys as soon as it is ready, and the same ones after it was started again', async () => {
    copyFileSync(fromRoot('softhsm/seed.example.yaml'), join(folder, 'seed.yaml'))
    chmodSync(join(folder, 'seed.yaml'), 0o644)
    const options = { binds: [`${join(folder, 'seed.yaml')}:${SEED}:ro`], environment: { P11KMS_SEED: SEED } }
    const first = await startContainer({ volume: await newVolume(), ...options })
    const kms = clientOf(first, '111122223333', 'AKIATESTTESTTESTTEST')
    const made = await kms.send(new GenerateDataKeyCommand({ KeyId: 'alias/payments', KeySpec: 'AES_256' }))
    expect(made.KeyId).toContain(KEY_ID)
    const { Tags } = await kms.send(new ListResourceTagsCommand({ KeyId: KEY_ID }))
    expect(Tags).toContainEqual({ TagKey: 'team', TagValue: 'payments' })
    const { Policy } = await kms.send(new GetKeyPolicyCommand({ KeyId: KEY_ID }))
    expect(JSON.parse(Policy ?? '')).toMatchObject({ Version: '2012-10-17' })
    const europe = clientOf(first, '111122223333', 'AKIATESTTESTTESTTEST', 'eu-central-1')
    const { KeyMetadata } = await europe.send(new DescribeKeyCommand({ KeyId: 'alias/payments' }))
    expect(KeyMetadata?.KeyId).toBe('11111111-2222-4333-8444-000000000002')
    const others = clientOf(first, '444455556666', 'AKIAOTHEROTHEROTHER0')
    expect((await others.send(new ListKeysCommand({}))).Keys).toHaveLength(1)
    await expect(others.send(new DescribeKeyCommand({ KeyId: KEY_ID }))).rejects.toMatchObject({
      name: 'NotFoundException',
    })
    const keysBefore = (await kms.send(new ListKeysCommand({}))).Keys

    await first.container.stop()
    const second = await startAgain(first.container)
    const again = clientOf(second, '111122223333', 'AKIATESTTESTTESTTEST')
    const opened = await again.send(new DecryptCommand({ CiphertextBlob: made.CiphertextBlob }))
    expect(opened.Plaintext).toEqual(made.Plaintext)
    expect((await again.send(new ListKeysCommand({}))).Keys).toEqual(keysBefore)
    expect(await second.logs()).not.toContain('only-for-tests')
    for (const client of [kms, europe, others, again]) client.destroy()
  })

  it('takes first credentials from variables, and PINs from files', async () => {
    for (const [name, pin] of [
      ['user-pin', '135790'],
      ['so-pin', '024680'],
    ] as const)
      writeFileSync(join(folder, name), `${pin}\n`, { mode: 0o644 })
    const container = await startContainer({
      binds: [`${folder}:/run/secrets:ro`],
      environment: {
        P11KMS_FIRST_ACCESS_KEY_ID: 'AKIACICICICICICICICI',
        P11KMS_FIRST_SECRET_ACCESS_KEY: 'only-for-tests-111122223333',
        P11KMS_FIRST_USER_PIN_FILE: '/run/secrets/user-pin',
        P11KMS_FIRST_SO_PIN_FILE: '/run/secrets/so-pin',
      },
    })
    const kms = clientOf(container, '111122223333', 'AKIACICICICICICICICI')
    expect((await kms.send(new DescribeKeyCommand({ KeyId: 'alias/demo' }))).KeyMetadata?.Enabled).toBe(true)
    expect(await container.run('cat', `${HOME}/secrets/user-pin`)).toBe('135790\n')
    expect(JSON.stringify(await container.container.inspect())).not.toMatch(/135790|024680/)
    kms.destroy()
  })

  it('runs as docker-compose.yml has it', async () => {
    const file = parse(readFileSync(fromRoot('docker-compose.yml'), 'utf8')) as {
      readonly services: {
        readonly p11kms: {
          readonly build: { readonly dockerfile: string }
          readonly ports: readonly string[]
          readonly volumes: readonly string[]
          readonly read_only: boolean
          readonly cap_drop: string[]
          readonly security_opt: string[]
        }
      }
    }
    const {
      build,
      ports,
      volumes,
      read_only: ReadonlyRootfs,
      cap_drop: CapDrop,
      security_opt,
    } = file.services.p11kms
    expect(build.dockerfile).toBe('softhsm/Dockerfile')
    expect(ports).toEqual(['127.0.0.1:7711:7711'])
    expect(volumes).toEqual(['data:/var/lib/p11kms'])
    const SecurityOpt = security_opt.map((option) => option.replace(':true', ''))
    const started = await startContainer({
      volume: await newVolume(),
      host: { ReadonlyRootfs, CapDrop, SecurityOpt },
    })
    expect((await started.readyz()).status).toBe(200)
  })
})
