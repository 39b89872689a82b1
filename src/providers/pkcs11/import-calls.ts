import type { CallOptions, MasterKeyRef } from '../../core/ports/crypto-provider.ts'
import type {
  BroughtMaterial,
  ImportPairRef,
  ImportWrapping,
  MaterialImporter,
  WrappedMaterial,
} from '../../core/ports/material-importer.ts'
import { tokenTimeout } from './errors.ts'
import { jsonPart, parseJsonPart } from './lanes/messages.ts'
import type { MaterialName } from './object-names.ts'
import type { ImportPairJob } from './procedures/create-import-pair.ts'
import type { ImportJob } from './procedures/import-master-key.ts'
import { bufferOf } from './provider-parts.ts'
import type { Pkcs11TokenSettings } from './settings.ts'
import type { TokenCalls } from './token-calls.ts'

/** Brings material into one token. */
export class ImportCalls implements MaterialImporter {
  readonly #settings: Pkcs11TokenSettings
  readonly #calls: TokenCalls

  constructor(settings: Pkcs11TokenSettings, calls: TokenCalls) {
    this.#settings = settings
    this.#calls = calls
  }

  async createImportPair(
    { token, pairId }: ImportPairRef,
    wrapping: ImportWrapping,
    options: CallOptions,
  ): Promise<{ readonly publicKey: Buffer }> {
    this.#calls.requireToken(token)
    const { pairTimeoutMs, allowHostMemory = false } = this.#settings
    const startBy = options.deadlineAt - pairTimeoutMs
    if (Date.now() > startBy) throw tokenTimeout(token)
    const job: ImportPairJob = { ...wrapping, pairId, token, allowHostMemory, startBy }
    const [spki] = await this.#calls.run(
      this.#calls.connection.lanes.write,
      'createImportPair',
      0,
      [jsonPart(job)],
      options,
    )
    return { publicKey: bufferOf(spki) }
  }

  async destroyImportPair({ token, pairId }: ImportPairRef, options: CallOptions): Promise<void> {
    this.#calls.requireToken(token)
    await this.#calls.run(
      this.#calls.connection.lanes.write,
      'destroyImportPair',
      0,
      [jsonPart(pairId)],
      options,
    )
  }

  async importMasterKey(
    ref: MasterKeyRef,
    { pair, algorithm, wrapped }: WrappedMaterial,
    options: CallOptions,
  ): Promise<BroughtMaterial> {
    this.#calls.handles.forget(ref)
    if (this.#calls.connection.renewing) await this.#calls.ready(options)
    const { pairId } = pair
    const name = parseJsonPart(this.#calls.nameOf(ref)) as MaterialName
    const { allowHostMemory = false } = this.#settings
    const job: ImportJob = { name, pairId, algorithm, token: ref.token, allowHostMemory }
    const parts = [jsonPart(job), wrapped]
    const [, host, publicKey] = await this.#calls.run(
      this.#calls.connection.lanes.write,
      'importMasterKey',
      0,
      parts,
      options,
    )
    this.#calls.handles.forget(ref)
    this.#calls.missing.found(ref)
    return {
      ...(parseJsonPart(host) === true && { hostMemory: true as const }),
      ...(publicKey && { publicKey: bufferOf(publicKey) }),
    }
  }
}
