import { randomUUID } from 'node:crypto'
import type { MasterKey } from '../../src/core/key.ts'
import { KeyDirectory } from '../../src/core/key-directory.ts'
import { KeyRotation } from '../../src/core/key-rotation.ts'
import type { CryptoProvider } from '../../src/core/ports/crypto-provider.ts'
import { call, kmsFixture, PAIR_TIMEOUT_MS } from './kms-fixture.ts'

/** Version ids whose objects are in the token, from now on. */
export function versionsIn(provider: CryptoProvider): Set<string> {
  const inToken = new Set<string>()
  const create = provider.createMasterKey.bind(provider)
  const destroy = provider.destroyMasterKey.bind(provider)
  provider.createMasterKey = async (ref, options) => {
    const made = await create(ref, options)
    inToken.add(ref.versionId)
    return made
  }
  provider.destroyMasterKey = async (ref, options) => {
    await destroy(ref, options)
    inToken.delete(ref.versionId)
  }
  return inToken
}

/** Which call of the store or the token fails, before it has its effect or after. */
export interface Cut {
  readonly when: 'before' | 'after'
  readonly step: 'replaceKey' | 'createMasterKey'
  /** From 0. */
  readonly nth: number
}

/**
 * Has one call of the store or the token fail with `error`.
 *
 * @returns What ends it.
 */
export function cutAt(
  { store, provider }: Pick<ReturnType<typeof kmsFixture>, 'store' | 'provider'>,
  { when, step, nth }: Cut,
  error: Error,
): () => void {
  const target: Record<string, unknown> = (step === 'replaceKey' ? store : provider) as never
  const whole = (target[step] as (...args: unknown[]) => Promise<unknown>).bind(target)
  let calls = 0
  target[step] = async (...args: unknown[]) => {
    if (calls++ !== nth) return whole(...args)
    if (when === 'after') await whole(...args)
    throw error
  }
  return () => {
    target[step] = whole
  }
}

/** The core with a key that is due for rotation after 10 invocations and refused after 40. */
export async function rotationFixture() {
  const fixture = kmsFixture({ invocationsMax: 40, leaseInvocations: 4, rotateAt: 10 })
  const { provider, store, clock, counted, kms } = fixture
  const inToken = versionsIn(provider)
  const key = await kms.createKey(call(), {})

  const seal = () =>
    kms.encrypt(call(), { key: { kind: 'id', keyId: key.keyId }, plaintext: Buffer.from('x') })
  const open = async (blob: Buffer) => (await kms.decrypt(call(), { blob })).plaintext.toString()

  /** Seals until the key is due; the blobs. */
  async function makeDue(): Promise<Buffer[]> {
    const blobs: Buffer[] = []
    for (let seals = 0; seals < 12; seals++) blobs.push((await seal()).blob)
    return blobs
  }

  /** The key as the store has it. */
  async function now(): Promise<MasterKey> {
    const stored = await store.getKey(key.region, key.keyId)
    if (!stored) throw new Error('the key is gone')
    return stored
  }

  /** Another process's rotation, on the same store and token. */
  function otherProcess(): KeyRotation {
    const log = { info: () => undefined, error: () => undefined }
    const directory = new KeyDirectory(store, clock, { maxAgeMs: 1000, entriesMax: 10 })
    return new KeyRotation({
      store,
      provider: counted,
      directory,
      clock,
      log,
      newId: randomUUID,
      rotateAt: 10,
      pairTimeoutMs: () => PAIR_TIMEOUT_MS,
    })
  }

  return { ...fixture, key, inToken, seal, open, makeDue, now, otherProcess }
}
