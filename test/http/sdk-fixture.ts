import { CreateKeyCommand, type CreateKeyCommandInput, KMSClient } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect } from 'vitest'
import { ALICE, MALLORY } from '../support/kms-fixture.ts'
import { ALICE_KEY, awsFixture, MALLORY_KEY } from './aws-fixture.ts'

/** The server on doubles, listening, with SDK clients of two accounts. To be called once in a `describe`. */
export function sdkFixture() {
  const fixture = awsFixture({ limits: { bodyBytesMax: 262_144 } })
  const clients: { alice: KMSClient; mallory: KMSClient } = {
    alice: new KMSClient(),
    mallory: new KMSClient(),
  }
  beforeAll(async () => {
    const endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
    const client = (credentials: typeof ALICE_KEY) =>
      new KMSClient({ endpoint, region: 'us-east-1', credentials: { ...credentials }, maxAttempts: 1 })
    clients.alice = client(ALICE_KEY)
    clients.mallory = client(MALLORY_KEY)
  })
  afterAll(async () => {
    clients.alice.destroy()
    clients.mallory.destroy()
    await fixture.server.close()
  })
  const newKeyArn = async (input: CreateKeyCommandInput = {}): Promise<string> => {
    const { KeyMetadata } = await clients.alice.send(new CreateKeyCommand(input))
    return KeyMetadata?.Arn ?? ''
  }
  return { ...fixture, clients, newKeyArn }
}

export const ALICE_ROOT = `arn:aws:iam::${ALICE.accountId}:root`
export const MALLORY_ROOT = `arn:aws:iam::${MALLORY.accountId}:root`

/** Sees that a call is refused by an exception of that name, and with that text where one is given. */
export async function refused(call: Promise<unknown>, name: string, text?: string | RegExp): Promise<void> {
  const message = text instanceof RegExp ? expect.stringMatching(text) : (text ?? expect.any(String))
  await expect(call).rejects.toMatchObject({ name, message })
}
