import { ALIAS_PREFIX, isAliasName } from '../../core/alias.ts'
import { KmsError } from '../../core/errors.ts'
import { isKeyId, type KeyIdentifier } from '../../core/key.ts'
import { AwsFault, validation } from './fault.ts'
import type { ArnScope } from './wire.ts'

/** Aliases that AWS keeps for keys of its own services. */
const RESERVED_ALIAS_PREFIX = 'alias/aws/'

const KEY_RESOURCE = 'key/'

/**
 * A `KeyId` that cryptographic operations and DescribeKey take: key id, key ARN, alias name or alias ARN.
 *
 * @throws {@link AwsFault} `NotFoundException` for an ARN of elsewhere; {@link KmsError} `KEY_ID_INVALID`,
 *   `KEY_NOT_FOUND`, `ALIAS_NOT_FOUND` for names that nothing here can have.
 */
export function parseKeyIdentifier(scope: ArnScope, text: string): KeyIdentifier {
  const name = text.startsWith('arn:') ? localResource(scope, text) : text
  if (!name.startsWith(ALIAS_PREFIX)) return { kind: 'id', keyId: parseKeyId(name) }
  if (isAliasName(name)) return { kind: 'alias', alias: name }
  throw new KmsError('ALIAS_NOT_FOUND', 'There is no such alias.', { alias: name })
}

/** A `KeyId` that management operations take: key id or key ARN, no alias. Throws what {@link parseKeyIdentifier} does. */
export function parseManagedKeyId(scope: ArnScope, text: string): string {
  return parseKeyId(text.startsWith('arn:') ? localResource(scope, text) : text)
}

/** `key/…` as its id, `alias/…` as it is; the ARN's partition, region and account must be those of the request. */
function localResource(scope: ArnScope, arn: string): string {
  const [, partition, service, region, accountId, ...rest] = arn.split(':')
  const resource = rest.join(':')
  if (partition !== scope.partition || service !== 'kms' || resource === '')
    throw notFound(`Invalid arn ${arn}`)
  if (region !== scope.region) throw notFound(`Invalid arn ${region}`)
  const isKey = resource.startsWith(KEY_RESOURCE)
  if (!isKey && !resource.startsWith(ALIAS_PREFIX)) throw notFound(`Invalid arn ${arn}`)
  // Whether another account has such a key is nothing to tell.
  if (accountId !== scope.accountId) {
    throw notFound(isKey ? `Key '${arn}' does not exist` : `Alias ${arn} is not found.`)
  }
  return isKey ? parseKeyId(resource.slice(KEY_RESOURCE.length)) : resource
}

function parseKeyId(text: string): string {
  if (isKeyId(text)) return text
  throw new KmsError('KEY_ID_INVALID', `'${text}' is no key id.`, { keyId: text })
}

function notFound(message: string): AwsFault {
  return new AwsFault('NotFoundException', message)
}

/**
 * The name of an alias to make, change or delete.
 *
 * @throws {@link AwsFault} `ValidationException` without the prefix, `NotAuthorizedException` for AWS's own.
 */
export function requireOwnAliasName(name: string): string {
  if (!name.startsWith(ALIAS_PREFIX)) {
    throw validation(
      'Alias must start with the prefix "alias/". Please see ' +
        'https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    )
  }
  if (name.startsWith(RESERVED_ALIAS_PREFIX)) throw new AwsFault('NotAuthorizedException', '')
  return name
}

/** Like {@link requireOwnAliasName}, for an alias to be made. Throws `InvalidAliasNameException` as well. */
export function requireNewAliasName(name: string): string {
  if (isAliasName(requireOwnAliasName(name))) return name
  throw new AwsFault('InvalidAliasNameException', 'The alias name is not valid.')
}
