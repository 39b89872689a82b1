import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DescribeKeyCommand, GenerateDataKeyCommand } from '@aws-sdk/client-kms'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { preparedHome, removeHome, type Service, sdkClient, startService } from '../support/gateway.ts'

const KEYS = 40
const keyIdOf = (index: number) => `11111111-2222-4333-8444-${String(index).padStart(12, '0')}`
/** How far a run gets before it is killed: with no key, with some, with most. Milliseconds after it serves. */
const KILLED_AFTER_MS = [0, 50, 120, 250]
const CREDENTIAL = { accessKeyId: 'AKIATESTTESTTESTTEST', secretAccessKey: 'only-for-tests' }

let home: string
const services: Service[] = []
beforeEach(async () => {
  home = await preparedHome()
})
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.stop('SIGKILL')))
  removeHome(home)
})

async function start(readiness?: string): Promise<Service> {
  const environment = { P11KMS_SEED: join(home, 'seed.yaml') }
  const service = await startService({ home, workers: 2, environment, ...(readiness && { readiness }) })
  services.push(service)
  return service
}

function writeSeed(account = '111122223333'): void {
  const keys = Array.from({ length: KEYS }, (_, index) => ({
    keyId: keyIdOf(index),
    aliases: [`alias/seeded-${index}`],
  }))
  const accounts = [{ awsAccountId: account, credentials: [CREDENTIAL] }]
  writeFileSync(join(home, 'seed.yaml'), JSON.stringify({ accounts, keys }), { mode: 0o600 })
}

async function untilReady(service: Service): Promise<void> {
  for (const until = Date.now() + 30_000; Date.now() < until; await sleep(50)) {
    if ((await fetch(`${service.endpoint}/readyz`)).status === 200) return
  }
  throw new Error(`not ready in time:\n${service.output()}`)
}

describe('serve with worker processes and a seed', () => {
  it('has every key when it is ready, however often it was killed while it made them', async () => {
    writeSeed()
    for (const afterMs of KILLED_AFTER_MS) {
      const service = await start('"msg":"ready to serve"')
      await sleep(afterMs)
      await service.stop('SIGKILL')
    }
    const service = await start()
    await untilReady(service)
    const kms = sdkClient(service.env, { credentials: { ...CREDENTIAL } })
    for (let index = 0; index < KEYS; index += 1) {
      const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId: `alias/seeded-${index}` }))
      expect(KeyMetadata).toMatchObject({ KeyId: keyIdOf(index), KeyState: 'Enabled' })
      const made = await kms.send(new GenerateDataKeyCommand({ KeyId: keyIdOf(index), KeySpec: 'AES_256' }))
      expect(made.Plaintext).toHaveLength(32)
    }
    kms.destroy()
    expect(service.output()).not.toContain(CREDENTIAL.secretAccessKey)
    expect(await service.stop()).toBe(0)
  })

  it('ends with exit code 78 where the store has an id of the seed in another account', async () => {
    writeSeed()
    const service = await start()
    await untilReady(service)
    expect(await service.stop()).toBe(0)
    writeSeed('444455556666')
    await expect(start()).rejects.toThrow(/ended \(78\)[\s\S]*seed\.keys\.0\.keyId[\s\S]*another account/)
  })
})
