/** A nonce is kept as it is up to here; SDKs send UUIDs and the like. Characters. */
export const NONCE_CHARACTERS_MAX = 128

/** Who knows which nonces were taken: this process, or one that all processes of a service ask. */
export interface NonceRegister {
  /**
   * Takes a nonce. Call it for requests alone whose signature is right: nobody else uses up an access key's room.
   *
   * @param accessKeyId - Of the configuration.
   * @param nonce - At most {@link NONCE_CHARACTERS_MAX} characters.
   * @param validUntil - When the request's timestamp is too old. Milliseconds since the epoch.
   * @returns `false` when the nonce was taken before; nothing when nobody could tell in time, and then it may be taken now.
   */
  take(accessKeyId: string, nonce: string, validUntil: number): boolean | Promise<boolean | undefined>
}
