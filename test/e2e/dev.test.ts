import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { DescribeKeyCommand, GenerateDataKeyCommand } from '@aws-sdk/client-kms'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MAIN, parseEnvFile, sdkClient } from '../support/gateway.ts'

const EXAMPLE = fileURLToPath(new URL('../../softhsm/seed.example.yaml', import.meta.url))
let parent: string
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'p11kms-e2e-dev-'))
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

/** `p11kms dev`, once it serves. */
async function startDev(...options: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, 'dev', '--port', '0', ...options], {
    env: { ...process.env, TMPDIR: parent },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  )
  const stdout = text(child.stdout)
  let stderr = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk
      if (stderr.includes('Ctrl-C stops it')) resolve()
    })
    void exited.then((how) => reject(new Error(`ended (${how}) before it served:\n${stderr}`)))
  })
  const stop = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    return await exited
  }
  return { stop, stdout, stderr: () => stderr, folders: () => readdirSync(parent) }
}

describe('p11kms dev', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'serves, and is gone with all that it made at %s',
    async (signal) => {
      const dev = await startDev()
      expect(dev.folders()).toHaveLength(1)
      const endpoint = /serves on (http:\S+),/.exec(dev.stderr())?.[1] ?? ''
      expect(await (await fetch(`${endpoint}/readyz`)).json()).toMatchObject({ ready: true })
      expect(await dev.stop(signal)).toBe(0)
      expect(dev.folders()).toEqual([])
      const env = parseEnvFile(await dev.stdout)
      expect(env['P11KMS_ENDPOINT']).toBe(endpoint)
      expect(dev.stderr()).not.toContain(env['AWS_SECRET_ACCESS_KEY'])
    },
  )

  it('starts with a seed', async () => {
    const dev = await startDev('--seed', EXAMPLE)
    const endpoint = /serves on (http:\S+),/.exec(dev.stderr())?.[1] ?? ''
    const kms = sdkClient({
      AWS_ENDPOINT_URL_KMS: endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'AKIATESTTESTTESTTEST',
      AWS_SECRET_ACCESS_KEY: 'only-for-tests-111122223333',
    })
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId: 'alias/legacy/payments' }))
    expect(KeyMetadata).toMatchObject({
      KeyId: '11111111-2222-4333-8444-000000000001',
      Description: 'Payments',
      KeyState: 'Enabled',
    })
    const made = await kms.send(new GenerateDataKeyCommand({ KeyId: KeyMetadata?.KeyId, KeySpec: 'AES_256' }))
    expect(made.Plaintext).toHaveLength(32)
    kms.destroy()
    expect(await dev.stop('SIGTERM')).toBe(0)
  })

  it('removes what a killed one left', async () => {
    const killed = await startDev()
    expect(await killed.stop('SIGKILL')).toBe('SIGKILL')
    const [left = ''] = killed.folders()
    const longAgo = new Date(Date.now() - 600_000)
    utimesSync(join(parent, left), longAgo, longAgo)
    const dev = await startDev()
    expect(dev.folders()).toHaveLength(1)
    expect(dev.folders()).not.toContain(left)
    expect(await dev.stop('SIGTERM')).toBe(0)
  })

  it('refuses a seed that is wrong, with its problems and exit code 78, and leaves nothing', async () => {
    const refused = startDev('--seed', join(parent, 'nothing.yaml'))
    await expect(refused).rejects.toThrow(/ended \(78\)[\s\S]*nothing\.yaml/)
    expect(readdirSync(parent)).toEqual([])
  })
})
