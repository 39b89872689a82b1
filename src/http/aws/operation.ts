import type { z } from 'zod'
import type { Kms } from '../../core/kms.ts'
import type { CallContext } from '../../core/kms-context.ts'
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
  BypassPolicyLockoutSafetyCheck: { when: isTrue, fault: unsupported },
  CustomKeyStoreId: { when: isPresent, fault: unsupported },
  DryRun: { when: isTrue, fault: unsupported },
  DryRunModifiers: { when: isNotEmpty, fault: unsupported },
  // No grant was ever made, so no token is of one.
  GrantTokens: {
    when: isNotEmpty,
    fault: () => new AwsFault('InvalidGrantTokenException', 'The grant token is not valid.'),
  },
  Policy: { when: isPresent, fault: unsupported },
  Recipient: { when: isPresent, fault: unsupported },
  Tags: { when: isNotEmpty, fault: unsupported },
  XksKeyId: { when: isPresent, fault: unsupported },
} as const satisfies Record<string, { when(value: unknown): boolean; fault(member: string): AwsFault }>

export type RefusedMember = keyof typeof REFUSED_MEMBERS

/** Makes a row of the operation table. */
export function awsOperation<Body>(row: {
  readonly body: z.ZodType<Body>
  /** Members that are checked and then refused, never dropped silently. */
  readonly refuses?: readonly RefusedMember[]
  readonly handle: (call: AwsCall, body: Body) => Promise<object | undefined>
}): AwsOperation {
  const { body: schema, refuses = [], handle } = row
  return {
    body: schema,
    refuses,
    // Async, so that whatever a handler throws at once rejects as well.
    async run(call, members) {
      const body = requireValid(schema, members)
      for (const member of refuses) {
        const { when, fault } = REFUSED_MEMBERS[member]
        if (when(members[member])) throw fault(member)
      }
      return handle(call, body)
    },
  }
}

function isTrue(value: unknown): boolean {
  return value === true
}

function isPresent(value: unknown): boolean {
  return value !== undefined
}

function isNotEmpty(value: unknown): boolean {
  return value !== undefined && !(Array.isArray(value) && value.length === 0)
}
