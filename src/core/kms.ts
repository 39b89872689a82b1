import { requireKey } from './find-key.ts'
import type { Grant, GrantPrincipal, GrantTerms } from './grant.ts'
import type { Alias, KeyIdentifier, KeyVersion, MasterKey } from './key.ts'
import type { CallContext } from './kms-context.ts'
import { KmsCryptography } from './kms-cryptography.ts'
import { regionsOf } from './multi-region.ts'
import * as aliases from './ops/aliases.ts'
import { type CreateKeyInput, createKey } from './ops/create-key.ts'
import * as versions from './ops/create-key-version.ts'
import { deleteImportedKeyMaterial } from './ops/delete-imported-material.ts'
import * as ensure from './ops/ensure-key.ts'
import * as grants from './ops/grants.ts'
import * as material from './ops/import-key-material.ts'
import * as importing from './ops/import-parameters.ts'
import { getKeyLastUsage, type KeyLastUsage } from './ops/key-last-usage.ts'
import * as lifecycle from './ops/key-lifecycle.ts'
import * as policies from './ops/key-policies.ts'
import * as rotations from './ops/key-rotations.ts'
import * as lists from './ops/list-keys.ts'
import type { ChangedMaterial } from './ops/move-material.ts'
import * as multiRegion from './ops/multi-region-keys.ts'
import * as tagging from './ops/tags.ts'
import type { PolicyLanguage } from './ports/policy-store.ts'
import type { Tag } from './ports/tag-store.ts'

/**
 * The key management service itself: one method per operation, the same for every protocol. Every method may throw
 * {@link KmsError} `ACCESS_DENIED`, `STORE_UNAVAILABLE`; those that use the token also `TOKEN_UNAVAILABLE` and
 * `TOKEN_TIMEOUT`; those that encrypt also `KEY_EXHAUSTED`; those that take a dry run also `DRY_RUN`; those that name a key also `GRANT_TOKEN_INVALID`, `KEY_NOT_FOUND`, `ALIAS_NOT_FOUND` and, where the key's state forbids
 * the operation, `KEY_STATE_INVALID`; those that use a key also `KEY_USAGE_INVALID` and `KEY_ALGORITHM_INVALID`.
 */
export class Kms extends KmsCryptography {
  createKey(context: CallContext, input: CreateKeyInput): Promise<MasterKey> {
    return createKey(this.deps, context, input)
  }

  /**
   * A key of an id that the operator chose. No API leads here.
   *
   * @throws {@link KmsError} `ALREADY_EXISTS` when the id is of a key in another region or account, or of one that was destroyed;
   *   `KEY_STATE_INVALID` when its creation was cut short and its objects are altered; `CONFLICT` when an earlier call still makes it.
   */
  ensureKey(context: CallContext, input: ensure.EnsureKeyInput): Promise<ensure.EnsuredKey> {
    return ensure.ensureKey(this.deps, context, input)
  }

  /** An alias that the operator chose, of whichever key has it then. No API leads here. */
  ensureAlias(context: CallContext, name: string, keyId: string): Promise<string | undefined> {
    return ensure.ensureAlias(this.deps, context, name, keyId)
  }

  describeKey(context: CallContext, key: KeyIdentifier): Promise<MasterKey> {
    return requireKey(this.deps, context, 'DescribeKey', key)
  }

  updateKeyDescription(context: CallContext, keyId: string, description: string): Promise<MasterKey> {
    return lifecycle.updateKeyDescription(this.deps, context, keyId, description)
  }

  /** What the key was last used for, as far as this process knows. */
  getKeyLastUsage(context: CallContext, keyId: string): Promise<KeyLastUsage> {
    return getKeyLastUsage(this.deps, context, keyId)
  }

  listKeys(context: CallContext, page: lists.PageInput): Promise<lists.Page<MasterKey>> {
    return lists.listKeys(this.deps, context, page)
  }

  enableKey(context: CallContext, keyId: string): Promise<MasterKey> {
    return lifecycle.enableKey(this.deps, context, keyId)
  }

  disableKey(context: CallContext, keyId: string): Promise<MasterKey> {
    return lifecycle.disableKey(this.deps, context, keyId)
  }

  /**
   * @throws {@link KmsError} `KEY_NOT_PRIMARY`, `ALREADY_EXISTS` when the region has the key, `REQUEST_INVALID` when nobody serves
   *   the region.
   */
  replicateKey(context: CallContext, input: multiRegion.ReplicateKeyInput): Promise<MasterKey> {
    return multiRegion.replicateKey(this.deps, context, input)
  }

  /** @throws {@link KmsError} `KEY_NOT_PRIMARY`, `KEY_NOT_FOUND` when the region has no replica. */
  updatePrimaryRegion(context: CallContext, keyId: string, region: string): Promise<void> {
    return multiRegion.updatePrimaryRegion(this.deps, context, keyId, region)
  }

  /** The keys of a multi-region key in all its regions, by region; none for a key of one region. The caller was given `key`. */
  regionsOf(key: MasterKey): Promise<readonly MasterKey[]> {
    return regionsOf(this.deps.store, key)
  }

  /**
   * The key is unusable at once; its material is destroyed when the window of `windowDays` ends.
   *
   * @throws {@link KmsError} `KEY_PROTECTED`
   */
  scheduleKeyDeletion(context: CallContext, keyId: string, windowDays: number): Promise<MasterKey> {
    return lifecycle.scheduleKeyDeletion(this.deps, context, keyId, windowDays)
  }

  /** The key comes back disabled, unless `comesBack` says otherwise. */
  cancelKeyDeletion(
    context: CallContext,
    keyId: string,
    comesBack: 'Disabled' | 'Enabled' = 'Disabled',
  ): Promise<MasterKey> {
    return lifecycle.cancelKeyDeletion(this.deps, context, keyId, comesBack)
  }

  /** @param protection - Why the key is protected from deletion; `undefined` when it no longer is. */
  setDeletionProtection(
    context: CallContext,
    keyId: string,
    protection: string | undefined,
  ): Promise<MasterKey> {
    return lifecycle.setDeletionProtection(this.deps, context, keyId, protection)
  }

  /**
   * @param periodDays - 90 to 2560.
   * @throws {@link KmsError} `KEY_NOT_ROTATABLE`
   */
  enableKeyRotation(context: CallContext, keyId: string, periodDays: number): Promise<MasterKey> {
    return rotations.enableKeyRotation(this.deps, context, keyId, periodDays)
  }

  /** @throws {@link KmsError} `KEY_NOT_ROTATABLE` */
  disableKeyRotation(context: CallContext, keyId: string): Promise<MasterKey> {
    return rotations.disableKeyRotation(this.deps, context, keyId)
  }

  getKeyRotationStatus(context: CallContext, keyId: string): Promise<rotations.RotationStatus> {
    return rotations.getKeyRotationStatus(this.deps, context, keyId)
  }

  /**
   * Another version of a key pair, beside those that there are.
   *
   * @throws {@link KmsError} `KEY_NOT_ROTATABLE`, `KEY_ORIGIN_INVALID`, `KEY_NOT_PRIMARY`, `LIMIT_EXCEEDED`, `KEY_VERSION_TOO_SOON`,
   *   `ROTATION_IN_PROGRESS`, `TOKEN_BUSY`, `UNSUPPORTED`
   */
  createKeyVersion(
    context: CallContext,
    input: versions.CreateKeyVersionInput,
  ): Promise<versions.CreatedVersion> {
    return versions.createKeyVersion(this.deps, context, input)
  }

  /** @throws {@link KmsError} `KEY_NOT_ROTATABLE`, `ROTATIONS_EXHAUSTED`, `ROTATION_IN_PROGRESS` */
  rotateKeyOnDemand(context: CallContext, keyId: string): Promise<MasterKey> {
    return rotations.rotateKeyOnDemand(this.deps, context, keyId)
  }

  /** @throws {@link KmsError} `KEY_NOT_ROTATABLE` */
  listKeyRotations(
    context: CallContext,
    keyId: string,
    page: lists.PageInput & { readonly all: boolean },
  ): Promise<lists.Page<KeyVersion> & { readonly key: MasterKey }> {
    return rotations.listKeyRotations(this.deps, context, keyId, page)
  }

  /** @throws {@link KmsError} `KEY_ORIGIN_INVALID`, `LIMIT_EXCEEDED`, `TOKEN_BUSY`, `UNSUPPORTED` */
  getParametersForImport(
    context: CallContext,
    input: importing.ImportParametersInput,
  ): Promise<importing.ImportParameters> {
    return importing.getParametersForImport(this.deps, context, input)
  }

  /**
   * @throws {@link KmsError} `KEY_ORIGIN_INVALID`, `IMPORT_TOKEN_INVALID`, `IMPORT_TOKEN_EXPIRED`, `MATERIAL_PENDING`,
   *   `MATERIAL_INCORRECT`, `MATERIAL_UNREADABLE`, `UNSUPPORTED`
   */
  importKeyMaterial(context: CallContext, input: material.ImportInput): Promise<ChangedMaterial> {
    return material.importKeyMaterial(this.deps, context, input)
  }

  /** @throws {@link KmsError} `KEY_ORIGIN_INVALID` */
  deleteImportedKeyMaterial(
    context: CallContext,
    keyId: string,
    materialId: string | undefined,
  ): Promise<ChangedMaterial> {
    return deleteImportedKeyMaterial(this.deps, context, keyId, materialId)
  }

  /** @throws {@link KmsError} `ALREADY_EXISTS`, `LIMIT_EXCEEDED` */
  createAlias(context: CallContext, name: string, target: KeyIdentifier): Promise<void> {
    return aliases.createAlias(this.deps, context, name, target)
  }

  /** @throws {@link KmsError} `LIMIT_EXCEEDED`; `REQUEST_INVALID` for a key of another kind, where `sameKind` is asked for. */
  updateAlias(
    context: CallContext,
    name: string,
    target: KeyIdentifier,
    options?: aliases.UpdateAliasOptions,
  ): Promise<void> {
    return aliases.updateAlias(this.deps, context, name, target, options)
  }

  deleteAlias(context: CallContext, name: string): Promise<void> {
    return aliases.deleteAlias(this.deps, context, name)
  }

  listAliases(
    context: CallContext,
    page: lists.PageInput & { readonly key?: KeyIdentifier | undefined },
  ): Promise<lists.Page<Alias>> {
    return lists.listAliases(this.deps, context, page)
  }

  /** @throws {@link KmsError} `TAGS_INVALID` */
  tagResource(context: CallContext, keyId: string, tags: readonly Tag[]): Promise<void> {
    return tagging.tagResource(this.deps, context, keyId, tags)
  }

  /** @throws {@link KmsError} `TAGS_INVALID` */
  untagResource(context: CallContext, keyId: string, tagKeys: readonly string[]): Promise<void> {
    return tagging.untagResource(this.deps, context, keyId, tagKeys)
  }

  listResourceTags(context: CallContext, keyId: string, page: lists.PageInput): Promise<lists.Page<Tag>> {
    return tagging.listResourceTags(this.deps, context, keyId, page)
  }

  /** @throws {@link KmsError} `POLICY_INVALID`, `LIMIT_EXCEEDED` */
  putKeyPolicy(context: CallContext, keyId: string, input: policies.KeyPolicyInput): Promise<void> {
    return policies.putKeyPolicy(this.deps, context, keyId, input)
  }

  /** @returns The policy as it was put; `undefined` for a key that has the default one of the language. */
  getKeyPolicy(context: CallContext, keyId: string, language: PolicyLanguage): Promise<string | undefined> {
    return policies.getKeyPolicy(this.deps, context, keyId, language)
  }

  /** Refuses where {@link Kms.getKeyPolicy} would; every key has exactly one policy in each language. */
  listKeyPolicies(context: CallContext, keyId: string): Promise<void> {
    return policies.listKeyPolicies(this.deps, context, keyId)
  }

  /** @throws {@link KmsError} `PRINCIPAL_INVALID`, `REQUEST_INVALID`, `LIMIT_EXCEEDED` */
  createGrant(context: CallContext, keyId: string, terms: GrantTerms): Promise<grants.MadeGrant> {
    return grants.createGrant(this.deps, context, keyId, terms)
  }

  /** @throws {@link KmsError} `GRANT_ID_INVALID` */
  listGrants(context: CallContext, keyId: string, input: grants.ListGrantsInput): Promise<lists.Page<Grant>> {
    return grants.listGrants(this.deps, context, keyId, input)
  }

  /** @throws {@link KmsError} `PRINCIPAL_INVALID` */
  listRetirableGrants(
    context: CallContext,
    retiring: GrantPrincipal,
    page: lists.PageInput,
  ): Promise<lists.Page<Grant>> {
    return grants.listRetirableGrants(this.deps, context, retiring, page)
  }

  /** @throws {@link KmsError} `GRANT_TOKEN_INVALID`, `GRANT_ID_INVALID`, `GRANT_NOT_FOUND` */
  retireGrant(context: CallContext, retired: grants.RetiredGrant): Promise<void> {
    return grants.retireGrant(this.deps, context, retired)
  }

  /** @throws {@link KmsError} `GRANT_ID_INVALID`, `GRANT_NOT_FOUND` */
  revokeGrant(context: CallContext, keyId: string, grantId: string): Promise<void> {
    return grants.revokeGrant(this.deps, context, keyId, grantId)
  }
}
