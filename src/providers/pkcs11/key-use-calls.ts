import type { MacAlgorithm, OaepAlgorithm, TokenSigning } from '../../core/key-spec.ts'
import type { CallOptions, MasterKeyRef } from '../../core/ports/crypto-provider.ts'
import type { KeyPairCrypto } from '../../core/ports/key-pair-crypto.ts'
import type { MacCrypto } from '../../core/ports/mac-crypto.ts'
import type { MaterialHandles } from './material-handles.ts'
import { OAEP_NUMBERS } from './procedures/decrypt-rsa.ts'
import { MAC_NUMBERS, SIGNING_NUMBERS } from './procedures/sign.ts'
import { bufferOf, PLAINTEXT_BYTES_MAX, requireLength } from './provider-parts.ts'
import type { TokenCalls } from './token-calls.ts'

/** What private keys and MAC keys of one token do. */
export class KeyUseCalls implements KeyPairCrypto, MacCrypto {
  readonly #calls: TokenCalls

  constructor(calls: TokenCalls) {
    this.#calls = calls
  }

  async readPublicKey(ref: MasterKeyRef, options: CallOptions): Promise<Buffer> {
    const name = this.#calls.nameOf(ref)
    return bufferOf(
      (await this.#calls.run(this.#calls.connection.lanes.write, 'readPublicKey', 0, [name], options))[0],
    )
  }

  async sign(
    ref: MasterKeyRef,
    algorithm: TokenSigning,
    data: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    requireLength(data.length, PLAINTEXT_BYTES_MAX, 'data')
    const number = SIGNING_NUMBERS.indexOf(algorithm)
    const args = (handleOf: MaterialHandles) => [handleOf('priv'), data]
    return bufferOf((await this.#calls.onKey(ref, 'sign', number, args, options))[0])
  }

  async decryptRsa(
    ref: MasterKeyRef,
    algorithm: OaepAlgorithm,
    ciphertext: Buffer,
    publicKey: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    const number = OAEP_NUMBERS.indexOf(algorithm)
    const args = (handleOf: MaterialHandles) => [handleOf('priv'), ciphertext, publicKey]
    return bufferOf((await this.#calls.onKey(ref, 'decryptRsa', number, args, options))[0])
  }

  async mac(
    ref: MasterKeyRef,
    algorithm: MacAlgorithm,
    message: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    requireLength(message.length, PLAINTEXT_BYTES_MAX, 'message')
    const number = MAC_NUMBERS.indexOf(algorithm)
    const args = (handleOf: MaterialHandles) => [handleOf('mac'), message]
    return bufferOf((await this.#calls.onKey(ref, 'mac', number, args, options))[0])
  }

  async deriveSecret(ref: MasterKeyRef, peerPoint: Buffer, options: CallOptions): Promise<Buffer> {
    const scalarBytes = (peerPoint.length - 1) / 2
    const args = (handleOf: MaterialHandles) => [handleOf('priv'), peerPoint]
    return bufferOf((await this.#calls.onKey(ref, 'deriveSecret', scalarBytes, args, options))[0])
  }
}
