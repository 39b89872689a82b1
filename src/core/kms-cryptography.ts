import type { KeyIdentifier, MasterKey } from './key.ts'
import type { CallContext, KmsDeps, UsingContext } from './kms-context.ts'
import { encapsulation } from './ops/encapsulate.ts'
import * as crypto from './ops/encrypt.ts'
import * as dataKeys from './ops/generate-data-key.ts'
import * as keyPairs from './ops/generate-data-key-pair.ts'
import * as macs from './ops/mac.ts'
import * as publicKeys from './ops/public-key.ts'
import type { OpenedPayload, SealedPayload } from './ops/seal-payload.ts'
import * as signing from './ops/sign.ts'

/**
 * The operations that do cryptography. One that uses a key goes through {@link KmsCryptography.#using}, which alone makes the context
 * that it asks for: so what each key was last used for is kept, and kept of calls that succeeded.
 */
export abstract class KmsCryptography {
  protected readonly deps: KmsDeps

  constructor(deps: KmsDeps) {
    this.deps = deps
  }

  encrypt(context: CallContext, input: crypto.EncryptInput): Promise<SealedPayload> {
    return this.#using(context, (using) => crypto.encrypt(this.deps, using, input))
  }

  /**
   * @throws {@link KmsError} `CIPHERTEXT_INVALID` when it does not authenticate; `KEY_MISMATCH` when it is of another
   *   key than the one named; `CIPHERTEXT_KEY_INACCESSIBLE` when its key is gone or somebody else's.
   */
  decrypt(context: CallContext, input: crypto.DecryptInput): Promise<OpenedPayload> {
    return this.#using(context, (using) => crypto.decrypt(this.deps, using, input))
  }

  /** As {@link Kms.decrypt}; throws `KEY_VERSION_NOT_FOUND` as well. */
  decryptDetached(context: CallContext, input: crypto.DecryptDetachedInput): Promise<OpenedPayload> {
    return this.#using(context, (using) => crypto.decryptDetached(this.deps, using, input))
  }

  /** Throws what {@link Kms.decrypt} and {@link Kms.encrypt} do. */
  reEncrypt(context: CallContext, input: crypto.ReEncryptInput): Promise<crypto.ReEncrypted> {
    return this.#using(context, (using) => crypto.reEncrypt(this.deps, using, input))
  }

  generateDataKey(context: CallContext, input: dataKeys.GenerateDataKeyInput): Promise<dataKeys.DataKey> {
    return this.#using(context, (using) => dataKeys.generateDataKey(this.deps, using, input))
  }

  /** The data key is made and sealed inside the token. */
  generateDataKeyWithoutPlaintext(
    context: CallContext,
    input: dataKeys.GenerateDataKeyInput,
  ): Promise<SealedPayload> {
    return this.#using(context, (using) => dataKeys.generateDataKeyWithoutPlaintext(this.deps, using, input))
  }

  /** @throws {@link KmsError} `TOKEN_BUSY` when the token makes other pairs for longer than the caller waits. */
  generateDataKeyPair(
    context: CallContext,
    input: keyPairs.GenerateDataKeyPairInput,
  ): Promise<keyPairs.DataKeyPair> {
    return this.#using(context, (using) => keyPairs.generateDataKeyPair(this.deps, using, input))
  }

  /**
   * The private key is made and sealed inside the token, unless the operator allows otherwise, which the trail tells then.
   * Throws what {@link Kms.generateDataKeyPair} does.
   */
  generateDataKeyPairWithoutPlaintext(
    context: CallContext,
    input: keyPairs.GenerateDataKeyPairInput,
  ): Promise<keyPairs.SealedDataKeyPair> {
    return this.#using(context, (using) =>
      keyPairs.generateDataKeyPairWithoutPlaintext(this.deps, using, input),
    )
  }

  /** @throws {@link KmsError} `KEY_VERSION_NOT_FOUND` */
  sign(context: CallContext, input: signing.SignInput): Promise<signing.Signed> {
    return this.#using(context, (using) => signing.sign(this.deps, using, input))
  }

  /** @throws {@link KmsError} `SIGNATURE_INVALID`, `KEY_VERSION_NOT_FOUND` */
  verify(context: CallContext, input: signing.VerifyInput): Promise<MasterKey> {
    return this.#using(context, (using) => signing.verify(this.deps, using, input))
  }

  generateMac(context: CallContext, input: macs.GenerateMacInput): Promise<macs.Mac> {
    return this.#using(context, (using) => macs.generateMac(this.deps, using, input))
  }

  /** @throws {@link KmsError} `MAC_INVALID` */
  verifyMac(context: CallContext, input: macs.VerifyMacInput): Promise<MasterKey> {
    return this.#using(context, (using) => macs.verifyMac(this.deps, using, input))
  }

  /**
   * @param versionId - The primary version, which is the initial one, when absent.
   * @throws {@link KmsError} `UNSUPPORTED` of a key that is no key pair; `KEY_VERSION_NOT_FOUND`.
   */
  getPublicKey(context: CallContext, key: KeyIdentifier, versionId?: string): Promise<publicKeys.PublicKey> {
    return publicKeys.getPublicKey(this.deps, context, key, versionId)
  }

  /** @throws {@link KmsError} `REQUEST_INVALID` when the other's public key is none of the curve of the key. */
  deriveSharedSecret(
    context: CallContext,
    input: publicKeys.DeriveSharedSecretInput,
  ): Promise<publicKeys.SharedSecret> {
    return this.#using(context, (using) => publicKeys.deriveSharedSecret(this.deps, using, input))
  }

  /** @throws {@link KmsError} `UNSUPPORTED`, always, of a key that is there and enabled. */
  encapsulate(context: CallContext, key: KeyIdentifier): Promise<never> {
    return encapsulation(this.deps, context, 'Encapsulate', key)
  }

  /** As {@link Kms.encapsulate}. */
  decapsulate(context: CallContext, key: KeyIdentifier): Promise<never> {
    return encapsulation(this.deps, context, 'Decapsulate', key)
  }

  /** @param lengthBytes - 1 to 1024. */
  generateRandom(context: CallContext, lengthBytes: number): Promise<Buffer> {
    return dataKeys.generateRandom(this.deps, context, lengthBytes)
  }

  #using<T>(context: CallContext, work: (using: UsingContext) => Promise<T>): Promise<T> {
    return this.deps.lastUses.during(context, work)
  }
}
