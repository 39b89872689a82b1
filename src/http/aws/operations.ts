import { AwsFault } from './fault.ts'
import type { AwsOperation } from './operation.ts'
import { ALIAS_OPERATIONS } from './operations/aliases.ts'
import { CRYPTOGRAPHIC_OPERATIONS } from './operations/cryptography.ts'
import { CUSTOM_KEY_STORE_OPERATIONS } from './operations/custom-key-stores.ts'
import { ENCAPSULATION_OPERATIONS } from './operations/encapsulation.ts'
import { GRANT_OPERATIONS } from './operations/grants.ts'
import { IMPORT_OPERATIONS } from './operations/imports.ts'
import { KEY_PAIR_OPERATIONS } from './operations/key-pairs.ts'
import { KEY_OPERATIONS } from './operations/keys.ts'
import { MULTI_REGION_OPERATIONS } from './operations/multi-region.ts'
import { POLICY_OPERATIONS } from './operations/policies.ts'
import { ROTATION_OPERATIONS } from './operations/rotations.ts'
import { SIGNING_OPERATIONS } from './operations/signing.ts'
import { TAG_OPERATIONS } from './operations/tags.ts'

/** Every operation of AWS KMS, with those that are refused by name: one row per `X-Amz-Target: TrentService.<name>`. */
export const AWS_OPERATIONS: ReadonlyMap<string, AwsOperation> = new Map(
  Object.entries({
    ...CRYPTOGRAPHIC_OPERATIONS,
    ...KEY_PAIR_OPERATIONS,
    ...KEY_OPERATIONS,
    ...ROTATION_OPERATIONS,
    ...SIGNING_OPERATIONS,
    ...ENCAPSULATION_OPERATIONS,
    ...IMPORT_OPERATIONS,
    ...ALIAS_OPERATIONS,
    ...MULTI_REGION_OPERATIONS,
    ...TAG_OPERATIONS,
    ...POLICY_OPERATIONS,
    ...GRANT_OPERATIONS,
    ...CUSTOM_KEY_STORE_OPERATIONS,
  }),
)

const TARGET_PREFIX = 'TrentService.'

/** Name of the operation that an `X-Amz-Target` header names, if AWS KMS has it. */
export function operationName(target: string | readonly string[] | undefined): string | undefined {
  if (typeof target !== 'string' || !target.startsWith(TARGET_PREFIX)) return undefined
  const name = target.slice(TARGET_PREFIX.length)
  return AWS_OPERATIONS.has(name) ? name : undefined
}

/** @throws {@link AwsFault} `UnknownOperationException` */
export function requireOperation(name: string | undefined): AwsOperation {
  const operation = name === undefined ? undefined : AWS_OPERATIONS.get(name)
  if (operation) return operation
  throw new AwsFault('UnknownOperationException', 'X-Amz-Target names no operation of AWS KMS.')
}
