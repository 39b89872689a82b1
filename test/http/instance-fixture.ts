import { generateKeyPairSync } from 'node:crypto'
import { Writable } from 'node:stream'
import pino from 'pino'
import { Registry } from 'prom-client'
import type { ClientCredential } from '../../src/core/client-key-directory.ts'
import type { GcmBudgetSettings } from '../../src/core/gcm-budget.ts'
import { createInstanceFacade } from '../../src/http/alibaba/instance/facade.ts'
import { DEFAULT_SERVER_LIMITS, type ServerLimits } from '../../src/http/limits.ts'
import { buildServer } from '../../src/http/server.ts'
import { clientAccessFixture } from '../support/client-access-fixture.ts'
import { DkmsClient, type Transport } from '../support/dkms-client.ts'
import { ALICE, call, kmsFixture, MALLORY } from '../support/kms-fixture.ts'

/** One pair for all tests: making one takes as long as many of them. */
const PAIRS = {
  alice: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  mallory: generateKeyPairSync('rsa', { modulusLength: 2048 }),
}
export const ALICE_CLIENT = {
  clientKeyId: 'KAAP.11111111-1111-4111-8111-111111111111',
  privateKey: PAIRS.alice.privateKey,
}
export const MALLORY_CLIENT = {
  clientKeyId: 'KAAP.22222222-2222-4222-8222-222222222222',
  privateKey: PAIRS.mallory.privateKey,
}

/** The instance API over the core on doubles, its log lines, and clients of it. */
export function instanceFixture(
  parts: {
    readonly limits?: Partial<ServerLimits>
    readonly gcm?: Partial<GcmBudgetSettings>
    readonly hasPeers?: boolean
    readonly keyIds?: ReadonlySet<string>
  } = {},
) {
  const core = kmsFixture(parts.gcm)
  const lines: string[] = []
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString())
      done()
    },
  })
  const credential = (
    { clientKeyId }: { readonly clientKeyId: string },
    { accountId, region }: typeof ALICE,
    pair: (typeof PAIRS)['alice'],
  ): ClientCredential => ({
    clientKeyId,
    publicKey: pair.publicKey,
    accountId,
    region,
    notBefore: core.clock.now() - 60_000,
    notAfter: core.clock.now() + 86_400_000,
    ...(parts.keyIds && { keyIds: parts.keyIds }),
  })
  const { access, clientDirectory, clients } = clientAccessFixture({
    clock: core.clock,
    configured: [
      credential(ALICE_CLIENT, ALICE, PAIRS.alice),
      credential(MALLORY_CLIENT, MALLORY, PAIRS.mallory),
    ],
    hasPeers: parts.hasPeers ?? false,
  })
  const facade = createInstanceFacade({
    kms: core.kms,
    clock: core.clock,
    credentials: clientDirectory,
    requestTimeoutMs: 5_000,
  })
  const server = buildServer({
    facades: [facade],
    logger: pino({ level: 'trace' }, sink),
    clock: core.clock,
    limits: { ...DEFAULT_SERVER_LIMITS, bodyBytesMax: 262_144, ...parts.limits },
    health: { ready: async () => ({ ready: true, degraded: false, components: { store: { ok: true } } }) },
    metricsRegistry: new Registry(),
  })
  const transport: Transport = async (headers, body) => {
    const answer = await server.inject({ method: 'POST', url: '/', headers, payload: body })
    return { status: answer.statusCode, headers: answer.headers, body: answer.rawPayload }
  }
  const now = () => core.clock.now()
  return {
    ...core,
    server,
    lines,
    transport,
    access,
    clients,
    clientDirectory,
    alice: new DkmsClient(ALICE_CLIENT, transport, now),
    mallory: new DkmsClient(MALLORY_CLIENT, transport, now),
    newKey: () => core.kms.createKey(call(), { description: 'of a test' }),
    clientOf: (identity: typeof ALICE_CLIENT) => new DkmsClient(identity, transport, now),
  }
}

export type InstanceFixture = ReturnType<typeof instanceFixture>
