import { principalResource } from '../../core/authorize/principal.ts'
import type { Grant, GrantConstraints } from '../../core/grant.ts'
import type { Alias, KeyVersion, MasterKey, Principal } from '../../core/key.ts'
import { algorithmsOf, isSymmetric } from '../../core/key-spec.ts'
import { keyMaterialId } from '../../core/material-id.ts'

/** What ARNs of one request are made of. */
export interface ArnScope extends Pick<Principal, 'accountId' | 'region'> {
  readonly partition: string
}

/** `arn:aws:kms:us-east-1:111122223333:` */
function arnPrefix({ partition, region, accountId }: ArnScope): string {
  return `arn:${partition}:kms:${region}:${accountId}:`
}

export function keyArn(scope: ArnScope, keyId: string): string {
  return `${arnPrefix(scope)}key/${keyId}`
}

/** The account itself, as policies and grants name it. */
export function accountArn({ partition, accountId }: Omit<ArnScope, 'region'>): string {
  return `arn:${partition}:iam::${accountId}:root`
}

/** A credential, as policies and grants may name it. */
export function principalArn(partition: string, principal: Principal): string {
  return `arn:${partition}:iam::${principal.accountId}:${principalResource(principal)}`
}

/** @param name - Full name, `alias/…`. */
export function aliasArn(scope: ArnScope, name: string): string {
  return `${arnPrefix(scope)}${name}`
}

/** Timestamps are seconds since the epoch, with a fraction (AWS JSON 1.1, "Timestamp"). */
export function toTimestamp(milliseconds: number): number {
  return milliseconds / 1_000
}

export function toBase64(bytes: Buffer): string {
  return bytes.toString('base64')
}

/**
 * `KeyMetadata` (AWS KMS API Reference).
 *
 * @param regions - The keys of a multi-region key in all its regions, by region.
 */
export function keyMetadata(scope: ArnScope, key: MasterKey, regions: readonly MasterKey[] = []): object {
  const current = key.versions.find((version) => version.versionId === key.primaryVersionId)
  return {
    AWSAccountId: key.accountId,
    KeyId: key.keyId,
    Arn: keyArn(scope, key.keyId),
    CreationDate: toTimestamp(key.createdAt),
    Enabled: key.state === 'Enabled',
    Description: key.description,
    KeyUsage: key.usage,
    KeyState: key.state,
    ...(key.deletionAt === undefined ? {} : { DeletionDate: toTimestamp(key.deletionAt) }),
    Origin: key.origin ?? 'AWS_KMS',
    ...expirationOf(current),
    KeyManager: 'CUSTOMER',
    CustomerMasterKeySpec: key.spec,
    KeySpec: key.spec,
    ...algorithmMembers(key),
    MultiRegion: key.multiRegion !== undefined,
    ...multiRegionMembers(scope, key, regions),
    ...(current && isSymmetric(key.spec) && isKnownMaterial(current)
      ? { CurrentKeyMaterialId: keyMaterialId(current) }
      : {}),
  }
}

/** What a key may be used with, under the names that AWS KMS has for it; only those that its usage allows are there. */
export function algorithmMembers(key: MasterKey): object {
  const { encryption, signing, mac, agreement } = algorithmsOf(key)
  return {
    ...(encryption.length > 0 && { EncryptionAlgorithms: encryption }),
    ...(signing.length > 0 && { SigningAlgorithms: signing }),
    ...(mac.length > 0 && { MacAlgorithms: mac }),
    ...(agreement.length > 0 && { KeyAgreementAlgorithms: agreement }),
  }
}

/** Where the keys of a multi-region key are. */
function multiRegionMembers(scope: ArnScope, key: MasterKey, regions: readonly MasterKey[]): object {
  if (key.multiRegion === undefined) return {}
  const entry = ({ region, keyId }: MasterKey) => ({
    Arn: keyArn({ ...scope, region }, keyId),
    Region: region,
  })
  const primary = regions.find(({ multiRegion }) => multiRegion === 'PRIMARY')
  const replicas = regions.filter(({ multiRegion }) => multiRegion === 'REPLICA')
  return {
    MultiRegionConfiguration: {
      MultiRegionKeyType: key.multiRegion,
      ...(primary && { PrimaryKey: entry(primary) }),
      ReplicaKeys: replicas.map(entry),
    },
    ...(key.deletionWindowDays !== undefined && { PendingDeletionWindowInDays: key.deletionWindowDays }),
  }
}

/** Whether callers may learn of the material of a version: a place for some that never came has no name. */
function isKnownMaterial({ imported }: KeyVersion): boolean {
  return imported?.canary !== undefined || imported === undefined
}

/** `ExpirationModel` and `ValidTo` of material that is imported and there. */
export function expirationOf(version: KeyVersion | undefined): object {
  if (version?.imported?.state !== 'Imported') return {}
  const { expiresAt } = version.imported
  if (expiresAt === undefined) return { ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' }
  return { ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo: toTimestamp(expiresAt) }
}

/** `AliasListEntry` (AWS KMS API Reference). */
export function aliasListEntry(scope: ArnScope, alias: Alias): object {
  return {
    AliasName: alias.name,
    AliasArn: aliasArn(scope, alias.name),
    TargetKeyId: alias.keyId,
    CreationDate: toTimestamp(alias.createdAt),
    LastUpdatedDate: toTimestamp(alias.updatedAt),
  }
}

/** `GrantListEntry` (AWS KMS API Reference): never a token. */
export function grantListEntry(scope: ArnScope, grant: Grant): object {
  const { grantee, retiring, constraints, name } = grant
  return {
    KeyId: keyArn(scope, grant.keyId),
    GrantId: grant.grantId,
    ...(name !== undefined && { Name: name }),
    CreationDate: toTimestamp(grant.createdAt),
    [PRINCIPAL_MEMBERS.grantee[grantee.kind]]: grantee.name,
    ...(retiring && { [PRINCIPAL_MEMBERS.retiring[retiring.kind]]: retiring.name }),
    IssuingAccount: accountArn({ ...scope, accountId: grant.accountId }),
    Operations: grant.operations,
    ...(constraints && { Constraints: grantConstraints(constraints) }),
  }
}

const PRINCIPAL_MEMBERS = {
  grantee: { arn: 'GranteePrincipal', service: 'GranteeServicePrincipal' },
  retiring: { arn: 'RetiringPrincipal', service: 'RetiringServicePrincipal' },
} as const

function grantConstraints(constraints: GrantConstraints): object {
  const { encryptionContextSubset, encryptionContextEquals, sourceArn } = constraints
  return {
    ...(encryptionContextSubset && { EncryptionContextSubset: encryptionContextSubset }),
    ...(encryptionContextEquals && { EncryptionContextEquals: encryptionContextEquals }),
    ...(sourceArn !== undefined && { SourceArn: sourceArn }),
  }
}

/** The base64 text of bytes that are zeroed with that. */
export function giveAway(secret: Buffer): string {
  try {
    return toBase64(secret)
  } finally {
    secret.fill(0)
  }
}
