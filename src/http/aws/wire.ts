import { hash } from 'node:crypto'
import type { Alias, KeyVersion, MasterKey, Principal } from '../../core/key.ts'

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

/** Keeps the key material ids apart from every other hash of a version id. */
const KEY_MATERIAL_DOMAIN = 'p11kms/aws/key-material-id\0'
const keyMaterialIds = new WeakMap<KeyVersion, string>()

/** 64 lower-case hexadecimal digits that name a key version for ever: SHA-256 over a domain tag and the version id. */
export function keyMaterialId(version: KeyVersion): string {
  const known = keyMaterialIds.get(version)
  if (known !== undefined) return known
  const id = hash('sha256', KEY_MATERIAL_DOMAIN + version.versionId, 'hex')
  keyMaterialIds.set(version, id)
  return id
}

/** `KeyMetadata` (AWS KMS API Reference). */
export function keyMetadata(scope: ArnScope, key: MasterKey): object {
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
    Origin: 'AWS_KMS',
    KeyManager: 'CUSTOMER',
    CustomerMasterKeySpec: key.spec,
    KeySpec: key.spec,
    EncryptionAlgorithms: [key.spec],
    MultiRegion: false,
    ...(current ? { CurrentKeyMaterialId: keyMaterialId(current) } : {}),
  }
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

/** The base64 text of bytes that are zeroed with that. */
export function giveAway(secret: Buffer): string {
  try {
    return toBase64(secret)
  } finally {
    secret.fill(0)
  }
}
