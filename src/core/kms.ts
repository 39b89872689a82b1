import { requireKey } from './find-key.ts'
import type { Grant, GrantPrincipal, GrantTerms } from './grant.ts'
import type { Alias, KeyIdentifier, KeyVersion, MasterKey } from './key.ts'
import type { CallContext, KmsDeps } from './kms-context.ts'
import { regionsOf } from './multi-region.ts'
import * as aliases from './ops/aliases.ts'
import { type CreateKeyInput, createKey } from './ops/create-key.ts'
import * as crypto from './ops/encrypt.ts'
import * as ensure from './ops/ensure-key.ts'
import * as dataKeys from './ops/generate-data-key.ts'
import * as keyPairs from './ops/generate-data-key-pair.ts'
import * as grants from './ops/grants.ts'
import * as material from './ops/import-key-material.ts'
import * as importing from './ops/import-parameters.ts'
import { getKeyLastUsage, type KeyLastUsage } from './ops/key-last-usage.ts'
import * as lifecycle from './ops/key-lifecycle.ts'
import * as policies from './ops/key-policies.ts'
import * as rotations from './ops/key-rotations.ts'
import * as lists from './ops/list-keys.ts'
import * as macs from './ops/mac.ts'
import * as multiRegion from './ops/multi-region-keys.ts'
import * as publicKeys from './ops/public-key.ts'
import type { OpenedPayload, SealedPayload } from './ops/seal-payload.ts'
import * as signing from './ops/sign.ts'
import * as tagging from './ops/tags.ts'
import type { Tag } from './ports/tag-store.ts'

/**
 * The key management service itself: one method per operation, the same for every protocol. Every method may throw
 * {@link KmsError} `ACCESS_DENIED`, `STORE_UNAVAILABLE`; those that use the token also `TOKEN_UNAVAILABLE` and
 * `TOKEN_TIMEOUT`; those that encrypt also `KEY_EXHAUSTED`; those that take a dry run also `DRY_RUN`; those that name a key also `GRANT_TOKEN_INVALID`, `KEY_NOT_FOUND`, `ALIAS_NOT_FOUND` and, where the key's state forbids
 * the operation, `KEY_STATE_INVALID`; those that use a key also `KEY_USAGE_INVALID` and `KEY_ALGORITHM_INVALID`.
 */
export class Kms {
  readonly #deps: KmsDeps

  constructor(deps: KmsDeps) {
    this.#deps = deps
  }

  createKey(context: CallContext, input: CreateKeyInput): Promise<MasterKey> {
    return createKey(this.#deps, context, input)
  }

  /**
   * A key of an id that the operator chose. No API leads here.
   *
   * @throws {@link KmsError} `ALREADY_EXISTS` when the id is of a key in another region or account, or of one that was destroyed;
   *   `KEY_STATE_INVALID` when its creation was cut short and its objects are altered; `CONFLICT` when an earlier call still makes it.
   */
  ensureKey(context: CallContext, input: ensure.EnsureKeyInput): Promise<ensure.EnsuredKey> {
    return ensure.ensureKey(this.#deps, context, input)
  }

  /** An alias that the operator chose, of whichever key has it then. No API leads here. */
  ensureAlias(context: CallContext, name: string, keyId: string): Promise<string | undefined> {
    return ensure.ensureAlias(this.#deps, context, name, keyId)
  }

  describeKey(context: CallContext, key: KeyIdentifier): Promise<MasterKey> {
    return requireKey(this.#deps, context, 'DescribeKey', key)
  }

  updateKeyDescription(context: CallContext, keyId: string, description: string): Promise<MasterKey> {
    return lifecycle.updateKeyDescription(this.#deps, context, keyId, description)
  }

  /** What the key was last used for, as far as this process knows. */
  getKeyLastUsage(context: CallContext, keyId: string): Promise<KeyLastUsage> {
    return getKeyLastUsage(this.#deps, context, keyId)
  }

  listKeys(context: CallContext, page: lists.PageInput): Promise<lists.Page<MasterKey>> {
    return lists.listKeys(this.#deps, context, page)
  }

  enableKey(context: CallContext, keyId: string): Promise<MasterKey> {
    return lifecycle.enableKey(this.#deps, context, keyId)
  }

  disableKey(context: CallContext, keyId: string): Promise<MasterKey> {
    return lifecycle.disableKey(this.#deps, context, keyId)
  }

  /**
   * @throws {@link KmsError} `KEY_NOT_PRIMARY`, `ALREADY_EXISTS` when the region has the key, `REQUEST_INVALID` when nobody serves
   *   the region.
   */
  replicateKey(context: CallContext, input: multiRegion.ReplicateKeyInput): Promise<MasterKey> {
    return multiRegion.replicateKey(this.#deps, context, input)
  }

  /** @throws {@link KmsError} `KEY_NOT_PRIMARY`, `KEY_NOT_FOUND` when the region has no replica. */
  updatePrimaryRegion(context: CallContext, keyId: string, region: string): Promise<void> {
    return multiRegion.updatePrimaryRegion(this.#deps, context, keyId, region)
  }

  /** The keys of a multi-region key in all its regions, by region; none for a key of one region. The caller was given `key`. */
  regionsOf(key: MasterKey): Promise<readonly MasterKey[]> {
    return regionsOf(this.#deps.store, key)
  }

  /**
   * The key is unusable at once; its material is destroyed when the window of `windowDays` ends.
   *
   * @throws {@link KmsError} `KEY_PROTECTED`
   */
  scheduleKeyDeletion(context: CallContext, keyId: string, windowDays: number): Promise<MasterKey> {
    return lifecycle.scheduleKeyDeletion(this.#deps, context, keyId, windowDays)
  }

  /** The key comes back disabled, unless `comesBack` says otherwise. */
  cancelKeyDeletion(
    context: CallContext,
    keyId: string,
    comesBack: 'Disabled' | 'Enabled' = 'Disabled',
  ): Promise<MasterKey> {
    return lifecycle.cancelKeyDeletion(this.#deps, context, keyId, comesBack)
  }

  /** @param protection - Why the key is protected from deletion; `undefined` when it no longer is. */
  setDeletionProtection(
    context: CallContext,
    keyId: string,
    protection: string | undefined,
  ): Promise<MasterKey> {
    return lifecycle.setDeletionProtection(this.#deps, context, keyId, protection)
  }

  /**
   * @param periodDays - 90 to 2560.
   * @throws {@link KmsError} `KEY_NOT_ROTATABLE`
   */
  enableKeyRotation(context: CallContext, keyId: string, periodDays: number): Promise<MasterKey> {
    return rotations.enableKeyRotation(this.#deps, context, keyId, periodDays)
  }

  /** @throws {@link KmsError} `KEY_NOT_ROTATABLE` */
  disableKeyRotation(context: CallContext, keyId: string): Promise<MasterKey> {
    return rotations.disableKeyRotation(this.#deps, context, keyId)
  }

  getKeyRotationStatus(context: CallContext, keyId: string): Promise<rotations.RotationStatus> {
    return rotations.getKeyRotationStatus(this.#deps, context, keyId)
  }

  /** @throws {@link KmsError} `KEY_NOT_ROTATABLE`, `ROTATIONS_EXHAUSTED`, `ROTATION_IN_PROGRESS` */
  rotateKeyOnDemand(context: CallContext, keyId: string): Promise<MasterKey> {
    return rotations.rotateKeyOnDemand(this.#deps, context, keyId)
  }

  /** @throws {@link KmsError} `KEY_NOT_ROTATABLE` */
  listKeyRotations(
    context: CallContext,
    keyId: string,
    page: lists.PageInput & { readonly all: boolean },
  ): Promise<lists.Page<KeyVersion> & { readonly key: MasterKey }> {
    return rotations.listKeyRotations(this.#deps, context, keyId, page)
  }

  /** @throws {@link KmsError} `KEY_ORIGIN_INVALID`, `LIMIT_EXCEEDED`, `TOKEN_BUSY`, `UNSUPPORTED` */
  getParametersForImport(
    context: CallContext,
    input: importing.ImportParametersInput,
  ): Promise<importing.ImportParameters> {
    return importing.getParametersForImport(this.#deps, context, input)
  }

  /**
   * @throws {@link KmsError} `KEY_ORIGIN_INVALID`, `IMPORT_TOKEN_INVALID`, `IMPORT_TOKEN_EXPIRED`, `MATERIAL_PENDING`,
   *   `MATERIAL_INCORRECT`, `MATERIAL_UNREADABLE`, `UNSUPPORTED`
   */
  importKeyMaterial(context: CallContext, input: material.ImportInput): Promise<material.ChangedMaterial> {
    return material.importKeyMaterial(this.#deps, context, input)
  }

  /** @throws {@link KmsError} `KEY_ORIGIN_INVALID` */
  deleteImportedKeyMaterial(
    context: CallContext,
    keyId: string,
    materialId: string | undefined,
  ): Promise<material.ChangedMaterial> {
    return material.deleteImportedKeyMaterial(this.#deps, context, keyId, materialId)
  }

  /** @throws {@link KmsError} `ALREADY_EXISTS` */
  createAlias(context: CallContext, name: string, target: KeyIdentifier): Promise<void> {
    return aliases.createAlias(this.#deps, context, name, target)
  }

  updateAlias(context: CallContext, name: string, target: KeyIdentifier): Promise<void> {
    return aliases.updateAlias(this.#deps, context, name, target)
  }

  deleteAlias(context: CallContext, name: string): Promise<void> {
    return aliases.deleteAlias(this.#deps, context, name)
  }

  listAliases(
    context: CallContext,
    page: lists.PageInput & { readonly key?: KeyIdentifier | undefined },
  ): Promise<lists.Page<Alias>> {
    return lists.listAliases(this.#deps, context, page)
  }

  encrypt(context: CallContext, input: crypto.EncryptInput): Promise<SealedPayload> {
    return this.#using(context, crypto.encrypt(this.#deps, context, input))
  }

  /**
   * @throws {@link KmsError} `CIPHERTEXT_INVALID` when it does not authenticate; `KEY_MISMATCH` when it is of another
   *   key than the one named; `CIPHERTEXT_KEY_INACCESSIBLE` when its key is gone or somebody else's.
   */
  decrypt(context: CallContext, input: crypto.DecryptInput): Promise<OpenedPayload> {
    return this.#using(context, crypto.decrypt(this.#deps, context, input))
  }

  /** As {@link Kms.decrypt}; throws `KEY_VERSION_NOT_FOUND` as well. */
  decryptDetached(context: CallContext, input: crypto.DecryptDetachedInput): Promise<OpenedPayload> {
    return this.#using(context, crypto.decryptDetached(this.#deps, context, input))
  }

  /** Throws what {@link Kms.decrypt} and {@link Kms.encrypt} do. */
  reEncrypt(context: CallContext, input: crypto.ReEncryptInput): Promise<crypto.ReEncrypted> {
    return this.#using(context, crypto.reEncrypt(this.#deps, context, input))
  }

  generateDataKey(context: CallContext, input: dataKeys.GenerateDataKeyInput): Promise<dataKeys.DataKey> {
    return this.#using(context, dataKeys.generateDataKey(this.#deps, context, input))
  }

  /** The data key is made and sealed inside the token. */
  generateDataKeyWithoutPlaintext(
    context: CallContext,
    input: dataKeys.GenerateDataKeyInput,
  ): Promise<SealedPayload> {
    return this.#using(context, dataKeys.generateDataKeyWithoutPlaintext(this.#deps, context, input))
  }

  /** @throws {@link KmsError} `TOKEN_BUSY` when the token makes other pairs for longer than the caller waits. */
  generateDataKeyPair(
    context: CallContext,
    input: keyPairs.GenerateDataKeyPairInput,
  ): Promise<keyPairs.DataKeyPair> {
    return this.#using(context, keyPairs.generateDataKeyPair(this.#deps, context, input))
  }

  /**
   * The private key is made and sealed inside the token, unless the operator allows otherwise, which the trail tells then.
   * Throws what {@link Kms.generateDataKeyPair} does.
   */
  generateDataKeyPairWithoutPlaintext(
    context: CallContext,
    input: keyPairs.GenerateDataKeyPairInput,
  ): Promise<keyPairs.SealedDataKeyPair> {
    return this.#using(context, keyPairs.generateDataKeyPairWithoutPlaintext(this.#deps, context, input))
  }

  sign(context: CallContext, input: signing.SignInput): Promise<signing.Signed> {
    return this.#using(context, signing.sign(this.#deps, context, input))
  }

  /** @throws {@link KmsError} `SIGNATURE_INVALID` */
  verify(context: CallContext, input: signing.VerifyInput): Promise<MasterKey> {
    return this.#using(context, signing.verify(this.#deps, context, input))
  }

  generateMac(context: CallContext, input: macs.GenerateMacInput): Promise<macs.Mac> {
    return this.#using(context, macs.generateMac(this.#deps, context, input))
  }

  /** @throws {@link KmsError} `MAC_INVALID` */
  verifyMac(context: CallContext, input: macs.VerifyMacInput): Promise<MasterKey> {
    return this.#using(context, macs.verifyMac(this.#deps, context, input))
  }

  /** @throws {@link KmsError} `UNSUPPORTED` of a key that is no key pair. */
  getPublicKey(context: CallContext, key: KeyIdentifier): Promise<publicKeys.PublicKey> {
    return publicKeys.getPublicKey(this.#deps, context, key)
  }

  /** @throws {@link KmsError} `REQUEST_INVALID` when the other's public key is none of the curve of the key. */
  deriveSharedSecret(
    context: CallContext,
    input: publicKeys.DeriveSharedSecretInput,
  ): Promise<publicKeys.SharedSecret> {
    return this.#using(context, publicKeys.deriveSharedSecret(this.#deps, context, input))
  }

  /** @param lengthBytes - 1 to 1024. */
  generateRandom(context: CallContext, lengthBytes: number): Promise<Buffer> {
    return dataKeys.generateRandom(this.#deps, context, lengthBytes)
  }

  /** @throws {@link KmsError} `TAGS_INVALID` */
  tagResource(context: CallContext, keyId: string, tags: readonly Tag[]): Promise<void> {
    return tagging.tagResource(this.#deps, context, keyId, tags)
  }

  /** @throws {@link KmsError} `TAGS_INVALID` */
  untagResource(context: CallContext, keyId: string, tagKeys: readonly string[]): Promise<void> {
    return tagging.untagResource(this.#deps, context, keyId, tagKeys)
  }

  listResourceTags(context: CallContext, keyId: string, page: lists.PageInput): Promise<lists.Page<Tag>> {
    return tagging.listResourceTags(this.#deps, context, keyId, page)
  }

  /** @throws {@link KmsError} `POLICY_INVALID`, `LIMIT_EXCEEDED` */
  putKeyPolicy(context: CallContext, keyId: string, input: policies.KeyPolicyInput): Promise<void> {
    return policies.putKeyPolicy(this.#deps, context, keyId, input)
  }

  /** @returns The policy as it was put; `undefined` for a key that has the default one of the caller's protocol. */
  getKeyPolicy(context: CallContext, keyId: string): Promise<string | undefined> {
    return policies.getKeyPolicy(this.#deps, context, keyId)
  }

  /** Refuses where {@link Kms.getKeyPolicy} would; every key has exactly one policy. */
  listKeyPolicies(context: CallContext, keyId: string): Promise<void> {
    return policies.listKeyPolicies(this.#deps, context, keyId)
  }

  /** @throws {@link KmsError} `PRINCIPAL_INVALID`, `REQUEST_INVALID`, `LIMIT_EXCEEDED` */
  createGrant(context: CallContext, keyId: string, terms: GrantTerms): Promise<grants.MadeGrant> {
    return grants.createGrant(this.#deps, context, keyId, terms)
  }

  /** @throws {@link KmsError} `GRANT_ID_INVALID` */
  listGrants(context: CallContext, keyId: string, input: grants.ListGrantsInput): Promise<lists.Page<Grant>> {
    return grants.listGrants(this.#deps, context, keyId, input)
  }

  /** @throws {@link KmsError} `PRINCIPAL_INVALID` */
  listRetirableGrants(
    context: CallContext,
    retiring: GrantPrincipal,
    page: lists.PageInput,
  ): Promise<lists.Page<Grant>> {
    return grants.listRetirableGrants(this.#deps, context, retiring, page)
  }

  /** @throws {@link KmsError} `GRANT_TOKEN_INVALID`, `GRANT_ID_INVALID`, `GRANT_NOT_FOUND` */
  retireGrant(context: CallContext, retired: grants.RetiredGrant): Promise<void> {
    return grants.retireGrant(this.#deps, context, retired)
  }

  /** @throws {@link KmsError} `GRANT_ID_INVALID`, `GRANT_NOT_FOUND` */
  revokeGrant(context: CallContext, keyId: string, grantId: string): Promise<void> {
    return grants.revokeGrant(this.#deps, context, keyId, grantId)
  }

  /** Keeps what keys were used for, once that has succeeded. */
  async #using<T>(context: CallContext, work: Promise<T>): Promise<T> {
    const result = await work
    this.#deps.lastUses.note(context)
    return result
  }
}
