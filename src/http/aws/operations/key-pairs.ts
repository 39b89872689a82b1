import { z } from 'zod'
import { KEY_PAIR_SPEC_NAMES, KEY_PAIR_SPECS, type KeyPairSpec } from '../../../core/key-pair-spec.ts'
import { keyMaterialId } from '../../../core/material-id.ts'
import type { SealedDataKeyPair } from '../../../core/ops/generate-data-key-pair.ts'
import { isUndriven, type UndrivenKeySpec } from '../../../core/undriven-specs.ts'
import { invariant } from '../../../lib/invariant.ts'
import { parseKeyIdentifier } from '../key-names.ts'
import {
  dataKeyPairSpec,
  dryRun,
  encryptionContext,
  grantTokens,
  keyId,
  toEncryptionContext,
} from '../members.ts'
import { type AwsCall, type AwsOperation, awsOperation } from '../operation.ts'
import { giveAway, keyArn, toBase64 } from '../wire.ts'

const keyPairBody = z.object({
  KeyId: keyId,
  KeyPairSpec: dataKeyPairSpec,
  EncryptionContext: encryptionContext.optional(),
  GrantTokens: grantTokens.optional(),
  DryRun: dryRun.optional(),
})
type KeyPairBody = z.output<typeof keyPairBody>

/** Data key pairs: keys are PKCS#8 and SubjectPublicKeyInfo, both DER. */
export const KEY_PAIR_OPERATIONS = {
  GenerateDataKeyPair: awsOperation({
    body: keyPairBody.extend({ Recipient: z.unknown().optional() }),
    refuses: ['Recipient'],
    handle: async (call, body) => {
      const pair = await call.kms.generateDataKeyPair(call.context, keyPairInput(call, body))
      return { ...sealedKeyPair(call, body, pair), PrivateKeyPlaintext: giveAway(pair.plaintext) }
    },
  }),

  GenerateDataKeyPairWithoutPlaintext: awsOperation({
    body: keyPairBody,
    handle: async (call, body) => {
      const pair = await call.kms.generateDataKeyPairWithoutPlaintext(call.context, keyPairInput(call, body))
      return sealedKeyPair(call, body, pair)
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>

const SPECS: ReadonlyMap<string, KeyPairSpec> = new Map(
  KEY_PAIR_SPEC_NAMES.map((spec) => [KEY_PAIR_SPECS[spec].aws, spec]),
)

function specOf(name: KeyPairBody['KeyPairSpec']): KeyPairSpec | UndrivenKeySpec {
  if (isUndriven(name)) return name
  const spec = SPECS.get(name)
  invariant(
    spec !== undefined,
    'a spec of the service model is one of ours, or one that no token is asked for',
  )
  return spec
}

function keyPairInput({ scope, keyPairWaitMs }: AwsCall, body: KeyPairBody) {
  return {
    key: parseKeyIdentifier(scope, body.KeyId),
    spec: specOf(body.KeyPairSpec),
    presentation: 'pkcs8-der' as const,
    encryptionContext: toEncryptionContext(body.EncryptionContext),
    waitMs: keyPairWaitMs,
  }
}

function sealedKeyPair({ scope }: AwsCall, { KeyPairSpec }: KeyPairBody, pair: SealedDataKeyPair) {
  return {
    PrivateKeyCiphertextBlob: toBase64(pair.blob),
    PublicKey: toBase64(pair.publicKey),
    KeyId: keyArn(scope, pair.key.keyId),
    KeyPairSpec,
    KeyMaterialId: keyMaterialId(pair.version),
  }
}
