import { z } from 'zod'
import { parseKeyIdentifier } from '../key-names.ts'
import { blob, dryRun, grantTokens, keyId } from '../members.ts'
import { type AwsOperation, awsOperation } from '../operation.ts'

const encapsulateBody = z.object({
  KeyId: keyId,
  EncapsulationAlgorithm: z.enum(['ML_KEM']),
  GrantTokens: grantTokens.optional(),
  DryRun: dryRun.optional(),
})

/** Operations of ML-KEM keys, which no token here is asked for: AWS KMS API Reference, one section per name. */
export const ENCAPSULATION_OPERATIONS = {
  Encapsulate: awsOperation({
    body: encapsulateBody,
    handle: ({ kms, context, scope }, body) =>
      kms.encapsulate(context, parseKeyIdentifier(scope, body.KeyId)),
  }),

  Decapsulate: awsOperation({
    body: encapsulateBody.extend({ SharedSecretCiphertextBlob: blob(1, 6144) }),
    handle: ({ kms, context, scope }, body) =>
      kms.decapsulate(context, parseKeyIdentifier(scope, body.KeyId)),
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>
