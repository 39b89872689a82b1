import { ALIAS_PREFIX, isAliasName } from '../../../core/alias.ts'
import { KmsError } from '../../../core/errors.ts'
import { isKeyId, type KeyIdentifier } from '../../../core/key.ts'
import { invalidParameter, OpenApiFault } from './fault.ts'
import type { AcsScope } from './operation.ts'

const ARN_PREFIX = 'acs:kms:'
const KEY_RESOURCE = 'key/'

/** Aliases that Alibaba Cloud keeps for keys of its own services. */
const RESERVED_ALIAS_PREFIX = 'alias/acs/'

export function keyArn({ region, uid }: AcsScope, keyId: string): string {
  return `${ARN_PREFIX}${region}:${uid}:${KEY_RESOURCE}${keyId}`
}

/** @param name - Full name, `alias/…`. */
export function aliasArn({ region, uid }: AcsScope, name: string): string {
  return `${ARN_PREFIX}${region}:${uid}:${name}`
}

/**
 * A `KeyId` that cryptographic operations and DescribeKey take: id, alias, or the ARN of either.
 *
 * @throws {@link KmsError} `KEY_NOT_FOUND`, `KEY_ID_INVALID`, `ALIAS_NOT_FOUND` for names that nothing of this account and
 *   region can have.
 */
export function parseKeyIdentifier(scope: AcsScope, text: string): KeyIdentifier {
  const name = text.startsWith(ARN_PREFIX) ? localResource(scope, text) : text
  if (!name.startsWith(ALIAS_PREFIX)) return { kind: 'id', keyId: parseKeyId(name) }
  if (isAliasName(name)) return { kind: 'alias', alias: name }
  throw new KmsError('ALIAS_NOT_FOUND', 'There is no such alias.', { alias: name })
}

/**
 * A `KeyId` that management operations take: id or ARN, no alias.
 *
 * @throws {@link OpenApiFault} `Unsupported.Alias`; {@link KmsError} `KEY_NOT_FOUND`, `KEY_ID_INVALID`.
 */
export function parseManagedKeyId(scope: AcsScope, text: string): string {
  const name = text.startsWith(ARN_PREFIX) ? localResource(scope, text) : text
  if (name.startsWith(ALIAS_PREFIX)) {
    throw new OpenApiFault('Unsupported.Alias', 'Alias is not valid for this api.')
  }
  return parseKeyId(name)
}

/** `key/…` as its id, `alias/…` as it is. Whether another account has it is nothing to tell. */
function localResource(scope: AcsScope, arn: string): string {
  const [region, uid, ...rest] = arn.slice(ARN_PREFIX.length).split(':')
  const resource = rest.join(':')
  const local = region === scope.region && uid === scope.uid
  if (resource.startsWith(ALIAS_PREFIX)) {
    if (local) return resource
    throw new KmsError('ALIAS_NOT_FOUND', 'There is no such alias.', { alias: resource })
  }
  const keyId = resource.startsWith(KEY_RESOURCE) ? resource.slice(KEY_RESOURCE.length) : ''
  if (!local || keyId === '') throw new KmsError('KEY_NOT_FOUND', 'There is no such key.', { keyId })
  return keyId
}

function parseKeyId(text: string): string {
  if (isKeyId(text)) return text
  throw new KmsError('KEY_ID_INVALID', 'This is no key id.', { keyId: text })
}

/** The name of an alias to make, change or delete. @throws {@link OpenApiFault} `InvalidParameter` */
export function requireOwnAliasName(name: string): string {
  if (isAliasName(name) && !name.startsWith(RESERVED_ALIAS_PREFIX)) return name
  throw invalidParameter('AliasName')
}
