import { z } from 'zod'
import { parseManagedKeyId } from '../key-names.ts'
import { boundedArray, keyId } from '../members.ts'
import { type AwsOperation, awsOperation } from '../operation.ts'
import { keyMetadata } from '../wire.ts'

const region = z
  .string()
  .min(1)
  .max(32)
  .regex(/^([a-z]+-){2,3}\d+$/)

/** Keys of several regions: AWS KMS API Reference, one section per name. */
export const MULTI_REGION_OPERATIONS = {
  ReplicateKey: awsOperation({
    body: z.object({
      KeyId: keyId,
      ReplicaRegion: region,
      Description: z.string().max(8192).optional(),
      BypassPolicyLockoutSafetyCheck: z.boolean().optional(),
      Policy: z.string().min(1).max(131_072).optional(),
      Tags: boundedArray(
        z.object({ TagKey: z.string().min(1).max(128), TagValue: z.string().max(256) }),
        50,
      ).optional(),
    }),
    refuses: ['BypassPolicyLockoutSafetyCheck', 'Policy', 'Tags'],
    handle: async ({ kms, context, scope }, body) => {
      const replica = await kms.replicateKey(context, {
        keyId: parseManagedKeyId(scope, body.KeyId),
        region: body.ReplicaRegion,
        description: body.Description,
      })
      const there = { ...scope, region: replica.region }
      return {
        ReplicaKeyMetadata: keyMetadata(there, replica, await kms.regionsOf(replica)),
      }
    },
  }),

  UpdatePrimaryRegion: awsOperation({
    body: z.object({ KeyId: keyId, PrimaryRegion: region }),
    handle: async ({ kms, context, scope }, body) => {
      await kms.updatePrimaryRegion(context, parseManagedKeyId(scope, body.KeyId), body.PrimaryRegion)
      return undefined
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>
