import { Writable } from 'node:stream'
import { deserialize, serialize } from 'node:v8'
import pino from 'pino'
import { Registry } from 'prom-client'
import type { GcmBudgetSettings } from '../../src/core/gcm-budget.ts'
import type { MasterKey } from '../../src/core/key.ts'
import type { Kms } from '../../src/core/kms.ts'
import type { CallContext } from '../../src/core/kms-context.ts'
import { createAwsFacade } from '../../src/http/aws/facade.ts'
import { createStsFacade } from '../../src/http/aws/sts.ts'
import type { HealthChecks } from '../../src/http/health.ts'
import { DEFAULT_SERVER_LIMITS, type ServerLimits } from '../../src/http/limits.ts'
import { buildServer } from '../../src/http/server.ts'
import { ALICE, call, kmsFixture, MALLORY, TEST_REGIONS } from '../support/kms-fixture.ts'
import { type RequestToSign, type SigningCredential, signRequest } from '../support/sign.ts'

export const ALICE_KEY: SigningCredential = {
  accessKeyId: ALICE.accessKeyId,
  secretAccessKey: 'alice/Secret+Access/Key0123456789ABCDEFG',
}
export const MALLORY_KEY: SigningCredential = {
  accessKeyId: MALLORY.accessKeyId,
  secretAccessKey: 'mallory/Secret+Access/Key0123456789ABCDE',
}
export const SESSION_KEY: SigningCredential = {
  accessKeyId: 'ASIASESSIONSESSIONSE',
  secretAccessKey: 'session/Secret+Access/Key0123456789ABCDE',
  sessionToken: 'session-token-which-is-a-secret-too',
}
export const SESSION_MS = 3_600_000
export const FACADE_TIMEOUT_MS = 5_000

/** Regions other than the first see no key of it. */
const REGIONS = TEST_REGIONS.map((name) => ({ name }))

export interface FixtureParts {
  readonly limits?: Partial<ServerLimits>
  readonly health?: HealthChecks
  readonly gcm?: Partial<GcmBudgetSettings>
}

/** The server over the core on doubles, its log lines, and a way to call it. */
export function awsFixture(parts: FixtureParts = {}) {
  const core = kmsFixture(parts.gcm)
  const passed: PassedCall[] = []
  const registry = new Registry()
  const lines: string[] = []
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString())
      done()
    },
  })
  const callers = {
    partition: 'aws',
    regions: REGIONS,
    accounts: [
      {
        accountId: ALICE.accountId,
        credentials: [ALICE_KEY, { ...SESSION_KEY, expiresAt: core.clock.now() + SESSION_MS }],
      },
      { accountId: MALLORY.accountId, credentials: [MALLORY_KEY] },
    ],
  }
  const sts = createStsFacade({ clock: core.clock, ...callers })
  const facade = createAwsFacade({
    kms: spiedKms(core.kms, passed),
    clock: core.clock,
    requestTimeoutMs: FACADE_TIMEOUT_MS,
    keyPairWaitMs: 300,
    ...callers,
  })
  const server = buildServer({
    facades: [sts, facade],
    logger: pino({ level: 'trace' }, sink),
    clock: core.clock,
    limits: { ...DEFAULT_SERVER_LIMITS, ...parts.limits },
    health: parts.health ?? {
      ready: async () => ({ ready: true, degraded: false, components: { store: { ok: true } } }),
    },
    metricsRegistry: registry,
  })
  const newKey = (): Promise<MasterKey> => core.kms.createKey(call(), { description: 'of a test' })
  return { ...core, server, registry, lines, passed, newKey, ...clientOf(server, core.clock) }
}

export type AwsFixture = ReturnType<typeof awsFixture>

/** A call of a method of `Kms`, as its arguments were then: buffers are zeroed later. */
interface PassedCall {
  readonly method: string
  readonly context: CallContext
  readonly args: readonly unknown[]
}

/** `Kms` that notes what its methods were called with. */
function spiedKms(kms: Kms, passed: PassedCall[]): Kms {
  return new Proxy(kms, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function') return method
      return (...args: unknown[]): unknown => {
        const [context, ...rest] = deserialize(serialize(args)) as [CallContext, ...unknown[]]
        passed.push({ method: String(name), context, args: rest })
        return Reflect.apply(method, target, args)
      }
    },
  })
}

export interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  /** The body as JSON, `{}` when it is empty. */
  readonly json: Record<string, unknown>
}

export type CallOptions = Partial<Omit<RequestToSign, 'body'>> & {
  /** Headers to send that are not signed, over the signed ones. */
  readonly extra?: Readonly<Record<string, string>>
  /** Body to send in place of the signed one. */
  readonly sentBody?: string | Buffer
}

function clientOf(server: ReturnType<typeof buildServer>, clock: { now(): number }) {
  /** Sends bytes as they are. */
  const send = async (headers: Record<string, string>, body: string | Buffer): Promise<WireAnswer> => {
    const answer = await server.inject({ method: 'POST', url: '/', headers, payload: body })
    const text = answer.payload
    return { status: answer.statusCode, headers: answer.headers, text, json: text ? JSON.parse(text) : {} }
  }
  /** Signs and sends `TrentService.<operation>`. A string or a Buffer is the body itself. */
  const request = (operation: string, input: object | string | Buffer = {}, options: CallOptions = {}) => {
    const body = typeof input === 'string' || Buffer.isBuffer(input) ? input : JSON.stringify(input)
    const { extra = {}, sentBody = body, headers = {}, ...signing } = options
    const signed = signRequest({
      credential: ALICE_KEY,
      at: clock.now(),
      body,
      headers: {
        host: 'localhost:7711',
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': `TrentService.${operation}`,
        ...headers,
      },
      ...signing,
    })
    return send({ ...signed, ...extra }, sentBody)
  }
  return { send, request }
}
