import { createHmac, hash } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { KeySpec, MasterKey } from '../../../src/core/key.ts'
import { algorithmsOf, MAC_ALGORITHMS } from '../../../src/core/key-spec.ts'
import type { ImportInput } from '../../../src/core/ops/import-key-material.ts'
import type { WrappingKeySpec } from '../../../src/core/ports/import-store.ts'
import {
  IMPORTED_SPECS,
  type ImportedSpec,
  makeMaterial,
  type OwnedMaterial,
  wrappingFor,
  wrongMaterials,
} from '../../support/imported-keys.ts'
import { call, kmsFixture } from '../../support/kms-fixture.ts'
import { wrapMaterial } from '../../support/wrap-material.ts'

const HOUR = 3_600_000
const TEXT = Buffer.from('signed or authenticated')
const ONE_PER_SPEC = IMPORTED_SPECS.filter(
  ({ spec }, index) => IMPORTED_SPECS.findIndex((one) => one.spec === spec) === index,
)
const NAMED = ONE_PER_SPEC.map((material) => [material.spec, material] as const)

let fixture: ReturnType<typeof kmsFixture>
beforeEach(() => {
  fixture = kmsFixture()
})

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

const create = (material: ImportedSpec) => fixture.kms.createKey(call(), { origin: 'EXTERNAL', ...material })

async function bring({ keyId, spec }: MasterKey, bytes: Buffer, input: Partial<ImportInput> = {}) {
  const algorithm = wrappingFor(spec)
  const { importToken, publicKey } = await fixture.kms.getParametersForImport(call(), {
    keyId,
    algorithm,
    spec: 'RSA_2048',
    waitMs: 0,
  })
  const wrapped = wrapMaterial(algorithm, publicKey, bytes)
  return fixture.kms.importKeyMaterial(call(), { keyId, importToken, wrapped, ...input })
}

const named = ({ keyId }: MasterKey) => ({ kind: 'id', keyId }) as const
const stateOf = async (key: MasterKey) => (await fixture.kms.describeKey(call(), named(key))).state
const remove = ({ keyId }: MasterKey) => fixture.kms.deleteImportedKeyMaterial(call(), keyId, undefined)

/** What the key is there for, with what its owner has. */
async function use(key: MasterKey, { bytes }: OwnedMaterial): Promise<void> {
  const { mac, signing, encryption } = algorithmsOf(key)
  if (mac[0]) {
    const made = await fixture.kms.generateMac(call(), { key: named(key), algorithm: mac[0], message: TEXT })
    expect(made.mac).toEqual(createHmac(MAC_ALGORITHMS[mac[0]].hash, bytes).update(TEXT).digest())
  } else if (signing[0]) {
    const asked = { key: named(key), algorithm: signing[0], kind: 'message', message: TEXT } as const
    const { signature } = await fixture.kms.sign(call(), asked)
    await fixture.kms.verify(call(), { ...asked, signature })
  } else {
    const algorithm = encryption[0]
    const sealed = await fixture.kms.encrypt(call(), { key: named(key), plaintext: TEXT, algorithm })
    const opened = await fixture.kms.decrypt(call(), { key: named(key), blob: sealed.blob, algorithm })
    expect(opened.plaintext).toEqual(TEXT)
  }
}

describe('a key pair or MAC key whose material is imported', () => {
  it.each(NAMED)('%s: is of no use before, and the very key of its owner afterwards', async (_, material) => {
    const key = await create(material)
    expect(key).toMatchObject({ state: 'PendingImport', origin: 'EXTERNAL', ...material })
    const owner = makeMaterial(material.spec)
    expect(await codeOf(use(key, owner))).toBe('KEY_STATE_INVALID')
    await bring(key, owner.bytes)
    expect(await stateOf(key)).toBe('Enabled')
    await use(key, owner)
    if (!owner.publicKey) return
    const { publicKey } = await fixture.kms.getPublicKey(call(), named(key))
    expect(publicKey).toEqual(owner.publicKey.export({ type: 'spki', format: 'der' }))
  })

  it.each(NAMED)('%s: goes, and comes back with the same material alone', async (_, material) => {
    const key = await create(material)
    const owner = makeMaterial(material.spec)
    await bring(key, owner.bytes)
    expect(await codeOf(bring(key, makeMaterial(material.spec).bytes))).toBe('MATERIAL_INCORRECT')
    await use(key, owner)
    await remove(key)
    expect(await stateOf(key)).toBe('PendingImport')
    expect(fixture.provider.held).toBe(0)
    expect(await codeOf(use(key, owner))).toBe('KEY_STATE_INVALID')
    if (owner.publicKey)
      expect(await codeOf(fixture.kms.getPublicKey(call(), named(key)))).toBe('KEY_STATE_INVALID')
    expect(await codeOf(bring(key, makeMaterial(material.spec).bytes))).toBe('MATERIAL_INCORRECT')
    expect(fixture.provider.held).toBe(0)
    await bring(key, owner.bytes)
    await use(key, owner)
    expect(fixture.provider.held).toBe(1)
  })

  // Longer RSA keys take seconds to make, and are refused alike.
  const quick = NAMED.filter(([spec]) => spec !== 'RSA_3072' && spec !== 'RSA_4096')
  it.each(quick)('%s: takes nothing else, and is told alike whatever is wrong', async (_, material) => {
    const key = await create(material)
    const codes: string[] = []
    for (const [, bytes] of wrongMaterials(material.spec).slice(0, 6))
      codes.push(await codeOf(bring(key, bytes)))
    expect(new Set(codes)).toEqual(new Set(['MATERIAL_UNREADABLE']))
    expect(fixture.provider.held).toBe(0)
    expect(await stateOf(key)).toBe('PendingImport')
  })

  it.each(NAMED)(
    '%s: has its end moved by what is there, and is of no use from it on',
    async (_, material) => {
      const key = await create(material)
      const owner = makeMaterial(material.spec)
      await bring(key, owner.bytes, { expiresAt: fixture.clock.now() + HOUR })
      await bring(key, owner.bytes, { expiresAt: fixture.clock.now() + 2 * HOUR })
      fixture.clock.advance(HOUR)
      await use(key, owner)
      fixture.clock.advance(HOUR)
      expect(await codeOf(use(key, owner))).toBe('KEY_STATE_INVALID')
      expect(await stateOf(key)).toBe('PendingImport')
      await fixture.imports.run()
      expect(fixture.provider.held).toBe(0)
      await bring(key, owner.bytes)
      await use(key, owner)
    },
  )

  it.each(NAMED)('%s: has one material, never a new one', async (_, material) => {
    const key = await create(material)
    const { bytes } = makeMaterial(material.spec)
    const members = [
      { type: 'NEW' },
      { type: 'EXISTING' },
      { materialId: 'a'.repeat(64) },
      { description: 'd' },
    ] as const
    const importNone = (member: Partial<ImportInput>) =>
      codeOf(
        fixture.kms.importKeyMaterial(call(), {
          keyId: key.keyId,
          importToken: Buffer.alloc(1),
          wrapped: Buffer.alloc(1),
          ...member,
        }),
      )
    for (const member of members) expect(await importNone(member)).toBe('UNSUPPORTED')
    await bring(key, bytes)
    for (const member of members) expect(await importNone(member)).toBe('UNSUPPORTED')
    expect(await importNone({})).toBe('IMPORT_TOKEN_INVALID')
    const id = 'a'.repeat(64)
    expect(await codeOf(fixture.kms.deleteImportedKeyMaterial(call(), key.keyId, id))).toBe('UNSUPPORTED')
    for (const rotation of [
      fixture.kms.rotateKeyOnDemand(call(), key.keyId),
      fixture.kms.enableKeyRotation(call(), key.keyId, 365),
    ])
      expect(await codeOf(rotation)).toBe('KEY_NOT_ROTATABLE')
  })

  it('keeps nothing of a secret, and nothing that tells that two keys have the same', async () => {
    const { bytes } = makeMaterial('HMAC_256')
    const canaries: string[] = []
    for (let at = 0; at < 2; at++) {
      const key = await create({ spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' })
      await bring(key, bytes)
      const stored = await fixture.store.getKey(key.region, key.keyId)
      canaries.push(stored?.versions[0]?.imported?.canary ?? '')
    }
    expect(canaries[0]).not.toBe(canaries[1])
    for (const canary of canaries)
      for (const part of canary.split('.').map((text) => Buffer.from(text, 'base64')))
        expect([bytes, hash('sha256', bytes, 'buffer')].some((told) => told.includes(part))).toBe(false)
  })

  it('says where the material passed through host memory', async () => {
    const { provider } = fixture
    const load = provider.importMasterKey.bind(provider)
    provider.importMasterKey = async (...args) => ({ ...(await load(...args)), hostMemory: true })
    const key = await create({ spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' })
    const algorithm = 'RSAES_OAEP_SHA_256'
    const asked = { keyId: key.keyId, algorithm, spec: 'RSA_2048', waitMs: 0 } as const
    const { importToken, publicKey } = await fixture.kms.getParametersForImport(call(), asked)
    const wrapped = wrapMaterial(algorithm, publicKey, makeMaterial(key.spec).bytes)
    const context = call()
    await fixture.kms.importKeyMaterial(context, { keyId: key.keyId, importToken, wrapped })
    expect(context.trail.hostMemory).toBe(true)
  })
})

describe('a wrapping key', () => {
  it.each([
    ['RSA_2048', 'RSA_4096', 'UNSUPPORTED'],
    ['RSA_4096', 'RSA_2048', 'UNSUPPORTED'],
    ['ECC_NIST_P521', 'RSA_2048', 'UNSUPPORTED'],
    ['ECC_NIST_P521', 'RSA_3072', 'done'],
    ['ECC_NIST_P384', 'RSA_2048', 'done'],
    ['HMAC_512', 'RSA_2048', 'done'],
  ] as const)('of RSAES-OAEP for %s, of %s: %s', async (spec: KeySpec, wrapping: WrappingKeySpec, code) => {
    const usage = spec === 'HMAC_512' ? 'GENERATE_VERIFY_MAC' : 'SIGN_VERIFY'
    const { keyId } = await create({ spec, usage })
    for (const algorithm of ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'] as const) {
      const asked = { keyId, algorithm, spec: wrapping, waitMs: 0 }
      expect(await codeOf(fixture.kms.getParametersForImport(call(), asked))).toBe(code)
    }
    expect(fixture.provider.importPairs.size).toBe(code === 'done' ? 2 : 0)
  })

  it('is made for what the key is', async () => {
    const { provider } = fixture
    const made: unknown[] = []
    const make = provider.createImportPair.bind(provider)
    provider.createImportPair = (ref, wrapping, options) => {
      made.push(wrapping)
      return make(ref, wrapping, options)
    }
    const { keyId } = await create({ spec: 'RSA_3072', usage: 'ENCRYPT_DECRYPT' })
    const algorithm = 'RSA_AES_KEY_WRAP_SHA_256'
    await fixture.kms.getParametersForImport(call(), { keyId, algorithm, spec: 'RSA_4096', waitMs: 0 })
    const material = { spec: 'RSA_3072', usage: 'ENCRYPT_DECRYPT' }
    expect(made).toEqual([{ algorithm, spec: 'RSA_4096', material }])
  })
})

it.each([
  ['of several regions', { multiRegion: true }],
  ['of ML-DSA', { spec: 'ML_DSA_65', usage: 'SIGN_VERIFY' }],
] as const)('a key %s takes no imported material', async (_, input) => {
  expect(await codeOf(fixture.kms.createKey(call(), { origin: 'EXTERNAL', ...input }))).toBe('UNSUPPORTED')
})
