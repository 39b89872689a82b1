import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateRandomCommand,
  ReEncryptCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'

let gateway: Gateway

beforeAll(async () => {
  // The most that it can be made to say.
  gateway = await startGateway({ home: newHome(), environment: { P11KMS_LOG_LEVEL: 'debug' } })
})
afterAll(async () => {
  await gateway.stop()
  removeHome(gateway.home)
})

/** A secret in every form in which a log could hold it. */
function formsOf(secret: Uint8Array): string[] {
  const bytes = Buffer.from(secret)
  const decimals = [...bytes.subarray(0, 8)]
  return [
    bytes.toString('base64').replace(/=+$/, '').slice(0, -1),
    bytes.toString('base64url').slice(0, -1),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    bytes.toString('latin1'),
    decimals.join(','),
    decimals.join(', '),
  ]
}

describe('what the process writes', () => {
  it('holds no key byte, no plaintext, no PIN, no secret and no signature, through successes and failures', async () => {
    const { env, home, endpoint } = gateway
    const kms = sdkClient(env, { maxAttempts: 1 })
    const signatures: string[] = []
    kms.middlewareStack.add(
      (next) => (args) => {
        const { headers } = args.request as { readonly headers: Readonly<Record<string, string>> }
        signatures.push(/Signature=([0-9a-f]{64})/.exec(headers['authorization'] ?? '')?.[1] ?? '')
        return next(args)
      },
      { step: 'finalizeRequest', priority: 'low' },
    )
    const secrets: Uint8Array[] = []
    const KeyId = 'alias/demo'
    for (let i = 0; i < 20; i++) {
      const made = await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
      const blob = made.CiphertextBlob ?? new Uint8Array()
      secrets.push(made.Plaintext ?? new Uint8Array())
      await kms.send(new DecryptCommand({ CiphertextBlob: blob }))
      await kms.send(new ReEncryptCommand({ CiphertextBlob: blob, DestinationKeyId: KeyId }))
      await kms.send(new DecryptCommand({ CiphertextBlob: blob.with(i + 40, 0) })).catch(() => undefined)
      secrets.push(
        (await kms.send(new GenerateRandomCommand({ NumberOfBytes: 32 }))).Plaintext ?? new Uint8Array(),
      )
    }
    const Plaintext = createHash('sha512').update('a plaintext of the caller').digest()
    secrets.push(Plaintext)
    await kms.send(new EncryptCommand({ KeyId, Plaintext }))
    await kms.send(new EncryptCommand({ KeyId: 'alias/nobody', Plaintext })).catch(() => undefined)
    await kms
      .send(new EncryptCommand({ KeyId, Plaintext: Buffer.alloc(5000, Plaintext) }))
      .catch(() => undefined)
    for (const body of [
      '{"Plaintext":"',
      Plaintext.toString('base64'),
      `{"Plaintext":"${Plaintext.toString('base64')}"`,
    ]) {
      await fetch(endpoint, { method: 'POST', body, headers: { 'x-amz-target': 'TrentService.Encrypt' } })
    }
    kms.destroy()
    expect(await gateway.stop()).toBe(0)

    const texts = ['user-pin', 'so-pin', 'secret-access-key'].map((name) =>
      readFileSync(join(home, 'secrets', name), 'utf8').trim(),
    )
    const output = gateway.output()
    // The search would find what is there: each request is logged, with its access key id.
    expect(output.split('"operation":"GenerateDataKey"').length - 1).toBe(20)
    expect(output).toContain(env['AWS_ACCESS_KEY_ID'])
    expect(signatures.filter((signature) => signature.length === 64).length).toBeGreaterThan(100)
    const forms = [
      ...texts,
      ...signatures.filter(Boolean),
      ...[...secrets, ...texts.map((text) => Buffer.from(text))].flatMap(formsOf),
    ]
    expect(forms.filter((form) => form.length > 8 && output.includes(form))).toEqual([])
    expect(output).not.toContain('AWS4-HMAC-SHA256')
  })
})
