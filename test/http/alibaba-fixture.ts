import { Writable } from 'node:stream'
import pino from 'pino'
import { Registry } from 'prom-client'
import type { ClientCredential } from '../../src/core/client-key-directory.ts'
import type { MasterKey } from '../../src/core/key.ts'
import type { ClientKeyIssuer } from '../../src/core/ports/client-key-issuer.ts'
import { createInstanceFacade } from '../../src/http/alibaba/instance/facade.ts'
import { createOpenApiFacade } from '../../src/http/alibaba/openapi/facade.ts'
import type { NonceRegister } from '../../src/http/alibaba/openapi/nonces.ts'
import { createAwsFacade } from '../../src/http/aws/facade.ts'
import { DEFAULT_SERVER_LIMITS } from '../../src/http/limits.ts'
import { buildServer } from '../../src/http/server.ts'
import { NonceCache } from '../../src/lib/nonce-cache.ts'
import { clientAccessFixture } from '../support/client-access-fixture.ts'
import { ALICE, call, kmsFixture, MALLORY } from '../support/kms-fixture.ts'
import {
  type AlibabaSigningCredential,
  queryOf,
  signV1,
  signV3,
  type V3Request,
} from '../support/sign-alibaba.ts'
import { ALICE_KEY, FACADE_TIMEOUT_MS } from './aws-fixture.ts'

export const ALICE_ACS: AlibabaSigningCredential = {
  accessKeyId: 'LTAIaliceAliceAliceAlice',
  accessKeySecret: 'aliceAlibabaSecret0123456789Ab',
}
export const MALLORY_ACS: AlibabaSigningCredential = {
  accessKeyId: 'LTAImalloryMalloryMallor',
  accessKeySecret: 'malloryAlibabaSecret0123456789',
}
export const STS_ACS: AlibabaSigningCredential = {
  accessKeyId: 'STS.aliceSessionAliceSes',
  accessKeySecret: 'aliceSessionSecret0123456789Ab',
  securityToken: 'security-token/which+is=a secret too',
}
export const STS_MS = 3_600_000
export const ALICE_UID = '1111222233334444'
export const MALLORY_UID = '9999888877776666'

const REGIONS = [{ name: 'us-east-1' }, { name: 'eu-central-1' }]

export interface AcsAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  /** The body as JSON; `{}` when it is none. */
  readonly json: Readonly<Record<string, unknown>>
}

export interface AcsOptions {
  readonly credential?: AlibabaSigningCredential
  readonly method?: 'GET' | 'POST'
  /** Where the parameters of a POST go. */
  readonly place?: 'query' | 'body'
  readonly at?: number
}

export interface FixtureParts {
  readonly configured?: readonly ClientCredential[]
  readonly nonces?: NonceRegister
  readonly issuer?: ClientKeyIssuer
}

/** The server with both façades over one core on doubles, its log lines, and ways to call it. */
export function alibabaFixture(parts: FixtureParts = {}) {
  const core = kmsFixture()
  const { kms, clock } = core
  const lines: string[] = []
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString())
      done()
    },
  })
  const requestTimeoutMs = FACADE_TIMEOUT_MS
  const { clients, clientDirectory: credentials } = clientAccessFixture({ clock, ...parts })
  const instance = createInstanceFacade({ kms, clock, credentials, requestTimeoutMs })
  const aws = createAwsFacade({
    kms,
    clock,
    requestTimeoutMs,
    keyPairWaitMs: 300,
    partition: 'aws',
    regions: REGIONS,
    accounts: [{ accountId: ALICE.accountId, credentials: [ALICE_KEY] }],
  })
  const openapi = createOpenApiFacade({
    kms,
    clients,
    clock,
    nonces: parts.nonces ?? new NonceCache(clock),
    requestTimeoutMs,
    regions: REGIONS,
    accounts: [
      {
        accountId: ALICE.accountId,
        uid: ALICE_UID,
        credentials: [ALICE_ACS, { ...STS_ACS, expiresAt: clock.now() + STS_MS }],
      },
      { accountId: MALLORY.accountId, uid: MALLORY_UID, credentials: [MALLORY_ACS] },
    ],
  })
  const server = buildServer({
    facades: [instance, aws, openapi],
    logger: pino({ level: 'trace' }, sink),
    clock,
    limits: DEFAULT_SERVER_LIMITS,
    health: { ready: async () => ({ ready: true, degraded: false, components: {} }) },
    metricsRegistry: new Registry(),
  })
  const newKey = (): Promise<MasterKey> => kms.createKey(call(), { description: 'of a test' })
  return { ...core, server, lines, newKey, ...clientOf(server, clock) }
}

function clientOf(server: ReturnType<typeof buildServer>, clock: { now(): number }) {
  /** Sends bytes as they are. */
  const send = async (
    method: 'GET' | 'POST',
    query: string,
    headers: Readonly<Record<string, string>>,
    body = '',
  ): Promise<AcsAnswer> => {
    const answer = await server.inject({
      method,
      url: query === '' ? '/' : `/?${query}`,
      headers: { host: 'localhost:7711', ...headers },
      ...(body === '' ? {} : { payload: body }),
    })
    const text = answer.payload
    const json = text.startsWith('{') ? JSON.parse(text) : {}
    return { status: answer.statusCode, headers: answer.headers, text, json }
  }
  /** Signs by V1 and sends. */
  const rpc = (
    action: string,
    parameters: Readonly<Record<string, string>> = {},
    options: AcsOptions = {},
  ) => {
    const { credential = ALICE_ACS, method = 'POST', place = 'query', at = clock.now() } = options
    const text = queryOf(signV1(credential, method, { Action: action, ...parameters }, at))
    if (method === 'GET' || place === 'query') return send(method, text, {})
    return send(method, '', { 'content-type': 'application/x-www-form-urlencoded' }, text)
  }
  /** Signs by V3 and sends. */
  const v3 = (
    action: string,
    request: Partial<V3Request> & { readonly method?: 'GET' | 'POST' } = {},
    credential = ALICE_ACS,
  ) => {
    const headers = signV3(credential, { action, at: clock.now(), ...request })
    return send(request.method ?? 'POST', queryOf(request.query ?? {}), headers, request.body)
  }
  return { send, rpc, v3 }
}

/** What an error says. */
export function faultOf({
  status,
  json,
}: AcsAnswer): readonly [status: number, code: unknown, message: unknown] {
  return [status, json['Code'], json['Message']]
}
