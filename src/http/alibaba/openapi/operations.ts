import { OpenApiFault } from './fault.ts'
import type { OpenApiOperation } from './operation.ts'
import { ALIAS_OPERATIONS } from './operations/aliases.ts'
import { ASYMMETRIC_OPERATIONS } from './operations/asymmetric.ts'
import { CLIENT_ACCESS_OPERATIONS } from './operations/client-access.ts'
import { CREATE_KEY_OPERATIONS } from './operations/create-key.ts'
import { CRYPTOGRAPHIC_OPERATIONS } from './operations/cryptography.ts'
import { IMPORT_OPERATIONS } from './operations/import.ts'
import { KEY_POLICY_OPERATIONS } from './operations/key-policies.ts'
import { KEY_VERSION_OPERATIONS } from './operations/key-versions.ts'
import { KEY_OPERATIONS } from './operations/keys.ts'
import { SERVICE_OPERATIONS } from './operations/service.ts'
import { TAG_OPERATIONS } from './operations/tags.ts'

/** Every operation that this service carries out, by `Action`. */
export const OPENAPI_OPERATIONS: ReadonlyMap<string, OpenApiOperation> = new Map(
  Object.entries({
    ...CRYPTOGRAPHIC_OPERATIONS,
    ...ASYMMETRIC_OPERATIONS,
    ...CREATE_KEY_OPERATIONS,
    ...KEY_OPERATIONS,
    ...KEY_VERSION_OPERATIONS,
    ...KEY_POLICY_OPERATIONS,
    ...IMPORT_OPERATIONS,
    ...ALIAS_OPERATIONS,
    ...TAG_OPERATIONS,
    ...SERVICE_OPERATIONS,
    ...CLIENT_ACCESS_OPERATIONS,
  }),
)

/** Operations of the API's version 2016-01-20 that this service does not carry out. With the rows above: all that there are. */
export const UNSUPPORTED_OPENAPI_OPERATIONS: ReadonlySet<string> = new Set([
  'BatchGetSecretValue',
  'ConnectKmsInstance',
  'CreateNetworkRule',
  'CreateSecret',
  'DeleteNetworkRule',
  'DeleteSecret',
  'DescribeNetworkRule',
  'DescribeSecret',
  'GetDefaultKmsInstance',
  'GetKmsInstance',
  'GetKmsInstanceQuotaInfos',
  'GetManagedDataKey',
  'GetRandomPassword',
  'GetSecretPolicy',
  'GetSecretValue',
  'ListKmsInstances',
  'ListManagedDataKeyVersions',
  'ListNetworkRules',
  'ListSecretVersionIds',
  'ListSecrets',
  'PutSecretValue',
  'ReleaseKmsInstance',
  'RestoreSecret',
  'RotateSecret',
  'SetSecretPolicy',
  'UpdateKmsInstanceBindVpc',
  'UpdateNetworkRule',
  'UpdateSecret',
  'UpdateSecretRotationPolicy',
  'UpdateSecretVersionStage',
])

/** @throws {@link OpenApiFault} `UnsupportedOperation`, which names the action where it is one of the API. */
export function requireOperation(action: string): OpenApiOperation {
  const operation = OPENAPI_OPERATIONS.get(action)
  if (operation) return operation
  const known = isActionName(action) ? ` ${action}` : ''
  throw new OpenApiFault('UnsupportedOperation', `This action is not supported.${known}`)
}

/** Whether the API has an action of this name, supported here or not. */
export function isActionName(action: string): boolean {
  return OPENAPI_OPERATIONS.has(action) || UNSUPPORTED_OPENAPI_OPERATIONS.has(action)
}
