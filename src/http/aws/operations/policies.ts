import { z } from 'zod'
import { AwsFault } from '../fault.ts'
import { parseManagedKeyId } from '../key-names.ts'
import { parseMarker } from '../markers.ts'
import { keyId, marker, policyDocument, policyName } from '../members.ts'
import { type AwsOperation, awsOperation } from '../operation.ts'
import { type ArnScope, accountArn, toTimestamp } from '../wire.ts'

/** The one policy that a key has. */
const POLICY_NAME = 'default'
const LIST_POLICIES_LIMIT = 1000

/** Key policies, and what else is told of a key: AWS KMS API Reference, one section per name. */
export const POLICY_OPERATIONS = {
  PutKeyPolicy: awsOperation({
    body: z.object({
      KeyId: keyId,
      PolicyName: policyName.optional(),
      Policy: policyDocument,
      BypassPolicyLockoutSafetyCheck: z.boolean().optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      requirePolicyName(body.PolicyName)
      const { Policy, BypassPolicyLockoutSafetyCheck = false } = body
      const bypassLockoutCheck = BypassPolicyLockoutSafetyCheck
      await kms.putKeyPolicy(context, id, { language: 'AWS', policy: Policy, bypassLockoutCheck })
      return undefined
    },
  }),

  GetKeyPolicy: awsOperation({
    body: z.object({ KeyId: keyId, PolicyName: policyName.optional() }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      requirePolicyName(body.PolicyName)
      const policy = await kms.getKeyPolicy(context, id, 'AWS')
      return { Policy: policy ?? defaultKeyPolicy(scope), PolicyName: POLICY_NAME }
    },
  }),

  ListKeyPolicies: awsOperation({
    body: z.object({
      KeyId: keyId,
      Limit: z.int().min(1).max(LIST_POLICIES_LIMIT).optional(),
      Marker: marker.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      // There is one page, so that no marker was ever given.
      if (body.Marker !== undefined) parseMarker(scope, `ListKeyPolicies/${id}`, body.Marker)
      await kms.listKeyPolicies(context, id)
      return { PolicyNames: [POLICY_NAME], Truncated: false }
    },
  }),

  GetKeyLastUsage: awsOperation({
    body: z.object({ KeyId: keyId }),
    handle: async ({ kms, context, scope }, body) => {
      const { key, use, trackedSince } = await kms.getKeyLastUsage(
        context,
        parseManagedKeyId(scope, body.KeyId),
      )
      const KeyLastUsage = use && {
        Operation: use.operation,
        Timestamp: toTimestamp(use.usedAt),
        ...(use.requestId !== undefined && { KmsRequestId: use.requestId }),
      }
      return {
        KeyId: key.keyId,
        KeyLastUsage: KeyLastUsage ?? {},
        TrackingStartDate: toTimestamp(trackedSince),
        KeyCreationDate: toTimestamp(key.createdAt),
      }
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>

function requirePolicyName(name: string = POLICY_NAME): void {
  if (name !== POLICY_NAME) throw new AwsFault('NotFoundException', 'No such policy exists')
}

/**
 * What a key has whose policy was never set: its account may do everything.
 *
 * @see AWS KMS Developer Guide, "Default key policy"
 */
export function defaultKeyPolicy(scope: ArnScope): string {
  const statement = {
    Sid: 'Enable IAM User Permissions',
    Effect: 'Allow',
    Principal: { AWS: accountArn(scope) },
    Action: 'kms:*',
    Resource: '*',
  }
  return JSON.stringify({ Version: '2012-10-17', Id: 'key-default-1', Statement: [statement] }, null, 2)
}
