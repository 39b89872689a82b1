import { randomBytes } from 'node:crypto'
import { beforeEach } from 'vitest'
import { KmsError } from '../../src/core/errors.ts'
import { tokenRef } from '../../src/core/find-key.ts'
import type { MasterKey } from '../../src/core/key.ts'
import type { ImportInput } from '../../src/core/ops/import-key-material.ts'
import type { WrappingAlgorithm } from '../../src/core/ports/import-store.ts'
import { call, kmsFixture } from './kms-fixture.ts'
import { wrapMaterial } from './wrap-material.ts'

/** In milliseconds. */
export const HOUR = 3_600_000
export const DAY = 24 * HOUR
export const GONE = new KmsError('TOKEN_UNAVAILABLE', 'The token is gone.', { token: 'main' })

/** What each test begins with, and may put another in place of. */
interface Beginning {
  core: ReturnType<typeof kmsFixture>
  /** External, and without material. */
  key: MasterKey
  /** Of 32 bytes, not imported yet. */
  material: Buffer
}

/** The code of the error that ends a call, or `done`. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

/** A key for imported material on doubles, new before each test, and calls about it. To be called once in a file. */
export function importedMaterialFixture() {
  const at = {} as Beginning
  beforeEach(async () => {
    at.core = kmsFixture()
    at.key = await at.core.kms.createKey(call(), { origin: 'EXTERNAL' })
    at.material = randomBytes(32)
  })

  const parameters = (keyId = at.key.keyId, algorithm: WrappingAlgorithm = 'RSAES_OAEP_SHA_256') =>
    at.core.kms.getParametersForImport(call(), { keyId, algorithm, spec: 'RSA_2048', waitMs: 0 })

  /** Imports `bytes` under parameters of their own. */
  async function bring(bytes: Buffer, input: Partial<ImportInput> = {}) {
    const { importToken, publicKey } = await parameters()
    const wrapped = wrapMaterial('RSAES_OAEP_SHA_256', publicKey, bytes)
    return at.core.kms.importKeyMaterial(call(), { keyId: at.key.keyId, importToken, wrapped, ...input })
  }

  return { at, parameters, bring, ...usesOf(at), ...looksAt(at) }
}

function usesOf(at: Beginning) {
  return {
    remove: () => at.core.kms.deleteImportedKeyMaterial(call(), at.key.keyId, undefined),
    rotate: () => at.core.kms.rotateKeyOnDemand(call(), at.key.keyId),
    /** Seals `x`. */
    seal: async () => {
      const input = { key: { kind: 'id', keyId: at.key.keyId }, plaintext: Buffer.from('x') } as const
      return (await at.core.kms.encrypt(call(), input)).blob
    },
    open: async (blob: Buffer) => (await at.core.kms.decrypt(call(), { blob })).plaintext.toString(),
  }
}

function looksAt(at: Beginning) {
  /** The key as the store has it. */
  async function now(): Promise<MasterKey> {
    const stored = await at.core.store.getKey(at.key.region, at.key.keyId)
    if (!stored) throw new Error('the key is gone')
    return stored
  }

  /** State of the material of each version. */
  const states = async () => (await now()).versions.map(({ imported }) => imported?.state)

  /** Numbers of the versions whose material the token has. */
  async function inToken(): Promise<number[]> {
    const held: number[] = []
    const stored = await now()
    for (const version of stored.versions) {
      const ref = tokenRef(stored, version)
      if ((await at.core.provider.findMasterKey(ref, { deadlineAt: Date.now() + 1000 })) !== 'absent')
        held.push(version.number)
    }
    return held
  }

  return { now, states, inToken }
}
