import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ciphertextInvalid, KmsError } from '../../../src/core/errors.ts'
import type { CallOptions, MasterKeyRef, Sealed, SealMode } from '../../../src/core/ports/crypto-provider.ts'
import { ReplicaProofs } from '../../../src/providers/pkcs11/ha-proofs.ts'
import type { Pkcs11Provider } from '../../../src/providers/pkcs11/provider.ts'
import { sampleKey } from '../../support/key-store-samples.ts'
import { MemoryKeyStore } from '../../support/memory-key-store.ts'
import { SoftwareProvider } from '../../support/software-provider.ts'

const KEY = sampleKey({ token: 'main' })
const REF: MasterKeyRef = {
  token: 'main',
  keyId: KEY.keyId,
  versionId: KEY.primaryVersionId,
  versionNumber: 1,
}
const BUSY = new KmsError('TOKEN_TIMEOUT', 'The token is busy.', { token: 'main' })
const within = (ms: number) => ({ deadlineAt: Date.now() + ms })

/** A token of a pair, over material that both share. */
class Member {
  available = true
  generation = 1
  presence = 'present'
  searches = 0
  seals = 0
  /** Awaited before every open; may throw. */
  beforeOpen: () => Promise<void> = async () => undefined
  readonly #material: SoftwareProvider

  constructor(material: SoftwareProvider) {
    this.#material = material
  }

  status() {
    return { capabilities: { gcm: { ivSource: 'caller' } } }
  }

  async findCopy() {
    this.searches += 1
    return this.presence
  }

  seal(ref: MasterKeyRef, plaintext: Buffer, aad: Buffer, options: CallOptions) {
    this.seals += 1
    return this.#material.seal(ref, plaintext, aad, options)
  }

  async open(ref: MasterKeyRef, mode: SealMode, sealed: Sealed, aad: Buffer, options: CallOptions) {
    await this.beforeOpen()
    return this.#material.open(ref, mode, sealed, aad, options)
  }
}

let primary: Member
let replica: Member
let proofs: ReplicaProofs
let errors: string[]

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] })
  const material = new SoftwareProvider()
  await material.createMasterKey(REF, within(1_000))
  ;[primary, replica] = [new Member(material), new Member(material)]
  errors = []
  const store = new MemoryKeyStore()
  await store.createKey(KEY)
  const log = {
    info: () => undefined,
    warn: () => undefined,
    error: (_: object, message: string) => void errors.push(message),
  }
  const [one, two] = [primary, replica].map((member) => member as unknown as Pkcs11Provider)
  if (!one || !two) throw new Error('a pair is two')
  proofs = new ReplicaProofs(one, two, store, log)
})
afterEach(() => vi.useRealTimers())

/** Asks for a verdict every six seconds for an hour. */
async function proveForAnHour() {
  for (let round = 0; round < 600; round++) {
    await proofs.prove(REF, within(1_000))
    vi.advanceTimersByTime(6_000)
  }
}

describe('a proof of a copy', () => {
  it('goes on after its first caller gave up, and serves who can wait', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    replica.beforeOpen = () => promise
    const hurried = proofs.prove(REF, within(20))
    const patient = proofs.prove(REF, within(4_000))
    expect((await hurried).state).toBe('unproven')
    expect((await proofs.prove(REF, within(0))).state).toBe('unproven')
    resolve()
    expect((await patient).state).toBe('proven')
    expect(await proofs.allows(REF, 'seal', within(1_000))).toBe(true)
    expect(replica.searches).toBe(1)
  })

  it('is not taken back by a token that is busy for a moment', async () => {
    await proofs.prove(REF, within(1_000))
    proofs.forget(REF)
    primary.available = false
    // The replica seals in a way that is not proven yet: it may open alone.
    replica.status = () => ({ capabilities: { gcm: { ivSource: 'appended' } } })
    expect(await proofs.prove(REF, within(1_000))).toMatchObject({ state: 'proven', seals: { text: '' } })
    primary.available = true
    vi.advanceTimersByTime(6_000)
    replica.beforeOpen = () => Promise.reject(BUSY)
    expect((await proofs.prove(REF, within(1_000))).state).toBe('proven')
    expect(await proofs.allows(REF, 'open', within(1_000))).toBe(true)
    replica.generation = 2
    expect((await proofs.prove(REF, within(1_000))).state).toBe('unproven')
  })

  it('holds for one connection of the replica: the next may be to another token', async () => {
    const maySeal = () => proofs.allows(REF, 'seal', within(1_000))
    expect(await maySeal()).toBe(true)
    expect([await maySeal(), replica.searches]).toEqual([true, 1])
    replica.generation = 2
    replica.beforeOpen = () => Promise.reject(ciphertextInvalid())
    expect(await maySeal()).toBe(false)
    expect(replica.searches).toBe(2)
  })

  it('that ended in a refusal is tried ever more seldom, and told seldom', async () => {
    replica.presence = 'partial'
    await proveForAnHour()
    expect(replica.searches).toBeGreaterThan(5)
    expect(replica.searches).toBeLessThan(25)
    expect(errors).toEqual(['replica holds other material'])
    replica.presence = 'present'
    vi.advanceTimersByTime(300_000)
    expect((await proofs.prove(REF, within(1_000))).state).toBe('proven')
  })

  it('seals little where the primary never opens what the replica seals', async () => {
    await proofs.prove(REF, within(1_000))
    proofs.forget(REF)
    replica.status = () => ({ capabilities: { gcm: { ivSource: 'appended' } } })
    const [open, seal] = [primary.open.bind(primary), replica.seal.bind(replica)]
    let reverse = false
    replica.seal = (...args) => {
      reverse = true
      return seal(...args)
    }
    primary.open = async (...args) => {
      if (reverse) throw ciphertextInvalid()
      return open(...args)
    }
    const before = replica.seals
    await proveForAnHour()
    expect(replica.seals - before).toBeGreaterThan(5)
    expect(replica.seals - before).toBeLessThan(25)
    expect(errors).toHaveLength(1)
    expect(await proofs.allows(REF, 'open', within(1_000))).toBe(true)
    expect(await proofs.allows(REF, 'seal', within(1_000))).toBe(false)
  })
})
