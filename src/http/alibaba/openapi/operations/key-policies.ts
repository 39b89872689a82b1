import { z } from 'zod'
import { invalidParameter } from '../fault.ts'
import { parseManagedKeyId } from '../key-names.ts'
import { keyId, opaqueText } from '../members.ts'
import { type AcsScope, type OpenApiOperation, openApiOperation } from '../operation.ts'

/** The one policy that a key has. */
const POLICY_NAME = 'default'
const POLICY_BYTES_MAX = 32_768

/** `Policy`: a document in the policy language of Alibaba Cloud, whose grammar the core knows. */
export const policyDocument: z.ZodType<string> = opaqueText(POLICY_BYTES_MAX)

const named = z.object({ KeyId: keyId, PolicyName: z.string().max(64).optional() })

/** Policies of keys, as data. */
export const KEY_POLICY_OPERATIONS = {
  SetKeyPolicy: openApiOperation({
    parameters: named.extend({ Policy: policyDocument }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      requirePolicyName(body.PolicyName)
      await kms.putKeyPolicy(context, id, { language: 'RAM', policy: body.Policy })
      return {}
    },
  }),

  GetKeyPolicy: openApiOperation({
    parameters: named,
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      requirePolicyName(body.PolicyName)
      const policy = await kms.getKeyPolicy(context, id, 'RAM')
      return { Policy: policy ?? defaultKeyPolicy(scope) }
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>

function requirePolicyName(name: string = POLICY_NAME): void {
  if (name !== POLICY_NAME) throw invalidParameter('PolicyName', 'There is no such policy.')
}

/**
 * What a key has whose policy was never set: its account may do everything.
 *
 * @see Alibaba Cloud KMS, "GetKeyPolicy"
 */
function defaultKeyPolicy({ uid }: AcsScope): string {
  const statement = {
    Sid: 'kms default key policy',
    Effect: 'Allow',
    Principal: { RAM: [`acs:ram::${uid}:*`] },
    Action: ['kms:*'],
    Resource: ['*'],
  }
  return JSON.stringify({ Version: '1', Statement: [statement] })
}
