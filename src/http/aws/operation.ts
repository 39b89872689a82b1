import type { z } from 'zod'
import type { Kms } from '../../core/kms.ts'
import type { CallContext } from '../../core/kms-context.ts'
import { invariant } from '../../lib/invariant.ts'
import { AwsFault, unsupported } from './fault.ts'
import { requireValid } from './validation.ts'
import type { ArnScope } from './wire.ts'

/** What a handler works with. */
export interface AwsCall {
  readonly kms: Kms
  readonly context: CallContext
  /** Partition, region and account of the request: ARNs are read and written with it. */
  readonly scope: ArnScope
  /** How long a key pair may wait for those before it. Milliseconds. */
  readonly keyPairWaitMs: number
}

/** One operation of the API, as the router, the documentation and the tests see it. */
export interface AwsOperation {
  /** What the members must be. */
  readonly body: z.ZodType
  /** Members that are checked and then refused. */
  readonly refuses: readonly RefusedMember[]
  /**
   * Checks the members, carries out, and encodes the answer; `undefined` where the operation has no output.
   *
   * @throws {@link AwsFault} or {@link KmsError}
   */
  run(call: AwsCall, members: Readonly<Record<string, unknown>>): Promise<object | undefined>
}

/** Members that AWS KMS honours and this service does not yet, and when leaving them out of account would be wrong. */
const REFUSED_MEMBERS = {
  CustomKeyStoreId: { when: isPresent, fault: noCustomKeyStores },
  DryRun: { when: isTrue, fault: unsupported },
  Recipient: { when: isPresent, fault: unsupported },
  XksKeyId: { when: isPresent, fault: noCustomKeyStores },
} as const satisfies Record<string, { when(value: unknown): boolean; fault(member: string): AwsFault }>

export type RefusedMember = keyof typeof REFUSED_MEMBERS

/** Makes a row of the operation table. */
export function awsOperation<Body>(row: {
  readonly body: z.ZodType<Body>
  /** Another shape, where what is asked for decides which members there must be. */
  readonly bodyFor?: (members: Readonly<Record<string, unknown>>) => z.ZodType<Body> | undefined
  /** Members that are checked and then refused, never dropped silently. */
  readonly refuses?: readonly RefusedMember[]
  readonly handle: (call: AwsCall, body: Body) => Promise<object | undefined>
}): AwsOperation {
  const { body: schema, bodyFor, refuses = [], handle } = row
  return {
    body: schema,
    refuses,
    // Async, so that whatever a handler throws at once rejects as well.
    async run(call, members) {
      const body = requireValid(bodyFor?.(members) ?? schema, members)
      for (const member of refuses) {
        const { when, fault } = REFUSED_MEMBERS[member]
        if (when(members[member])) throw fault(member)
      }
      const context = contextOf(call.context, body)
      if (context === call.context) return handle(call, body)
      const output = await handle({ ...call, context }, body)
      invariant(!context.dryRun, 'an operation that takes a dry run ends it')
      return output
    },
  }
}

function isTrue(value: unknown): boolean {
  return value === true
}

function isPresent(value: unknown): boolean {
  return value !== undefined
}

/** What operations may be asked for in the same way. Members that an operation does not have are not in its body. */
function contextOf(context: CallContext, body: unknown): CallContext {
  const { DryRun, GrantTokens } = body as Readonly<Record<string, unknown>>
  const grantTokens = Array.isArray(GrantTokens) ? (GrantTokens as readonly string[]) : []
  if (DryRun !== true && grantTokens.length === 0) return context
  return { ...context, ...(DryRun === true && { dryRun: DryRun }), grantTokens }
}

/** Keys of this service are in tokens of its operator, which is no custom key store of AWS KMS. */
export function noCustomKeyStores(what: string): AwsFault {
  return new AwsFault(
    'UnsupportedOperationException',
    `${what} is not supported: this service has no custom key stores, its keys are in the tokens of its configuration.`,
  )
}
