import { z } from 'zod'
import { parseManagedKeyId } from '../key-names.ts'
import { attachmentsOf, keyId, policyDocument, tags } from '../members.ts'
import { type AwsOperation, awsOperation } from '../operation.ts'
import { keyMetadata } from '../wire.ts'
import { defaultKeyPolicy } from './policies.ts'

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
      Policy: policyDocument.optional(),
      Tags: tags.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const replica = await kms.replicateKey(context, {
        keyId: parseManagedKeyId(scope, body.KeyId),
        region: body.ReplicaRegion,
        description: body.Description,
        ...attachmentsOf(body),
      })
      const there = { ...scope, region: replica.region }
      return {
        ReplicaKeyMetadata: keyMetadata(there, replica, await kms.regionsOf(replica)),
        ReplicaPolicy: body.Policy ?? defaultKeyPolicy(scope),
        ReplicaTags: body.Tags ?? [],
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
