import { isPrincipalArn, isServicePrincipal, splitArn } from './authorize/principal.ts'
import { KmsError } from './errors.ts'
import type { GrantConstraints, GrantOperation, GrantPrincipal, GrantTerms } from './grant.ts'
import type { KeyUsage, MasterKey } from './key.ts'

/** Allowed for a key of any kind. */
const COMMON: readonly GrantOperation[] = ['CreateGrant', 'DescribeKey', 'RetireGrant']

/** What more a grant may allow of a symmetric encryption key (AWS KMS Developer Guide, "Grant operations"). */
const SYMMETRIC: readonly GrantOperation[] = [
  'Decrypt',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateDataKeyWithoutPlaintext',
  'ReEncryptFrom',
  'ReEncryptTo',
]

/** What more a grant may allow of a key of another kind, by its usage. */
const BY_USAGE: Readonly<Record<KeyUsage, readonly GrantOperation[]>> = {
  ENCRYPT_DECRYPT: ['Decrypt', 'Encrypt', 'GetPublicKey', 'ReEncryptFrom', 'ReEncryptTo'],
  SIGN_VERIFY: ['GetPublicKey', 'Sign', 'Verify'],
  GENERATE_VERIFY_MAC: ['GenerateMac', 'VerifyMac'],
  KEY_AGREEMENT: ['DeriveSharedSecret', 'GetPublicKey'],
}

/** AWS KMS API Reference, "GrantConstraints". */
const CONSTRAINT_PAIRS_MAX = 8
const CONSTRAINT_VALUE_CHARACTERS_MAX = 384

/**
 * Refuses a grant that AWS KMS would not make for the key.
 *
 * @throws {@link KmsError} `PRINCIPAL_INVALID`, `REQUEST_INVALID`
 */
export function requireGrantTerms(key: Pick<MasterKey, 'spec' | 'usage'>, terms: GrantTerms): void {
  const { grantee, retiring, operations, constraints = {} } = terms
  requirePrincipal(grantee)
  if (retiring) requirePrincipal(retiring)
  if (grantee.kind === 'service' && (!retiring || constraints.sourceArn === undefined)) {
    throw invalid(
      'A grant for a service principal must have a SourceArn constraint and a retiring principal.',
    )
  }
  requireOperations(key, operations)
  requireConstraints(key, constraints)
}

/** @throws {@link KmsError} `PRINCIPAL_INVALID` for a name that is no ARN of a principal, or of no service. */
export function requirePrincipal({ kind, name }: GrantPrincipal): void {
  if (kind === 'arn' ? isPrincipalArn(name) : isServicePrincipal(name)) return
  throw new KmsError('PRINCIPAL_INVALID', 'The name is not that of a principal.', { principal: name })
}

function requireOperations(
  { spec, usage }: Pick<MasterKey, 'spec' | 'usage'>,
  operations: readonly GrantOperation[],
): void {
  if (operations.length === 0) throw invalid('A grant must allow at least one operation.')
  const allowed = [...COMMON, ...(isSymmetric(spec) ? SYMMETRIC : BY_USAGE[usage])]
  const refused = operations.find((operation) => !allowed.includes(operation))
  if (refused === undefined) return
  throw invalid(
    `Operation ${refused} is not valid in a grant for a key with spec ${spec} and usage ${usage}.`,
  )
}

function requireConstraints({ spec }: Pick<MasterKey, 'spec'>, constraints: GrantConstraints): void {
  const { encryptionContextEquals, encryptionContextSubset, sourceArn } = constraints
  const contexts = [encryptionContextEquals, encryptionContextSubset].filter((pairs) => pairs !== undefined)
  if (contexts.length > 0 && !isSymmetric(spec))
    throw invalid(`Encryption context constraints are not valid in a grant for a key with spec ${spec}.`)
  for (const pairs of contexts) requireContext(pairs)
  if (sourceArn !== undefined && (!splitArn(sourceArn) || !sourceArn.isWellFormed()))
    throw new KmsError('PRINCIPAL_INVALID', 'The SourceArn is not an ARN.', { principal: sourceArn })
}

function requireContext(pairs: Readonly<Record<string, string>>): void {
  const entries = Object.entries(pairs)
  if (entries.length > CONSTRAINT_PAIRS_MAX)
    throw invalid(`An encryption context constraint has at most ${CONSTRAINT_PAIRS_MAX} pairs.`)
  for (const text of entries.flat()) {
    if (text.length > CONSTRAINT_VALUE_CHARACTERS_MAX)
      throw invalid(
        `A name or value of an encryption context constraint has at most ${CONSTRAINT_VALUE_CHARACTERS_MAX} characters.`,
      )
    if (!text.isWellFormed())
      throw invalid('An encryption context constraint holds text that is not well-formed Unicode.')
  }
}

function isSymmetric(spec: MasterKey['spec']): boolean {
  return spec === 'SYMMETRIC_DEFAULT'
}

function invalid(message: string): KmsError<'REQUEST_INVALID'> {
  return new KmsError('REQUEST_INVALID', message, { field: 'Operations' })
}
