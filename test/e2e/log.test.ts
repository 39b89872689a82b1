import { spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { GenerateRandomCommand } from '@aws-sdk/client-kms'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  freePort,
  MAIN,
  newHome,
  readEnvFile,
  removeHome,
  sdkClient,
  startGateway,
} from '../support/gateway.ts'

let home: string

beforeEach(async () => {
  home = newHome()
  const gateway = await startGateway({ home })
  await gateway.stop()
})
afterEach(() => removeHome(home))

/** Serves from the prepared home with its standard output as given, and expects it to work and to end by itself. */
async function expectToServe(stdout: 'pipe' | number): Promise<void> {
  const port = await freePort()
  const args = [MAIN, 'serve', '--config', join(home, 'config.yaml'), '--port', String(port)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', stdout, 'inherit'] })
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  try {
    child.stdout?.destroy()
    const endpoint = `http://127.0.0.1:${port}`
    const env = { ...readEnvFile(join(home, 'env')), AWS_ENDPOINT_URL_KMS: endpoint }
    const kms = sdkClient(env, { maxAttempts: 1 })
    for (let i = 0; i < 100 && !(await fetch(`${endpoint}/healthz`).catch(() => undefined))?.ok; i++)
      await sleep(100)
    // Enough lines to fill every buffer on the way.
    for (let i = 0; i < 100; i++) await kms.send(new GenerateRandomCommand({ NumberOfBytes: 16 }))
    await sleep(600)
    expect((await fetch(`${endpoint}/healthz`)).status).toBe(200)
    expect((await fetch(`${endpoint}/readyz`)).status).toBe(200)
    kms.destroy()
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  } finally {
    child.kill('SIGKILL')
  }
}

describe('a log that cannot be written stops nothing', () => {
  it('when its reader is gone', () => expectToServe('pipe'))

  it('when the disk is full', () => expectToServe(openSync('/dev/full', 'w')))
})
