import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { tokenRef } from '../../src/core/find-key.ts'
import type { MasterKey } from '../../src/core/key.ts'
import { KEY_SPECS, type KeySpec, type KeyUsage, keySpecRow } from '../../src/core/key-spec.ts'
import { inspect } from '../../src/providers/pkcs11/inspect/inspector.ts'
import { knownKeys } from '../../src/providers/pkcs11/inspect/lint/known-versions.ts'
import { type Linted, lintToken } from '../../src/providers/pkcs11/inspect/lint/lint.ts'
import { type ObjectRole, objectId } from '../../src/providers/pkcs11/object-names.ts'
import { makeMaterial, wrappingFor } from '../support/imported-keys.ts'
import { sampleKey } from '../support/key-store-samples.ts'
import { NEW_KEYS, OPENSSL_KNOWS_ML_DSA } from '../support/new-keys.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import {
  describeWith,
  inOtherProcess,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  USER_PIN,
  within,
} from '../support/softhsm.ts'
import { wrapMaterial } from '../support/wrap-material.ts'

const LABEL = 'inventory-keys'
const KINDS = (Object.keys(KEY_SPECS) as KeySpec[])
  .filter((spec) => spec !== 'SYMMETRIC_DEFAULT' && (OPENSSL_KNOWS_ML_DSA || !spec.startsWith('ML_DSA')))
  .flatMap((spec) => keySpecRow(spec).usages.map((usage) => [spec, usage] as const))

const DESTROY = `
p11.C_FindObjectsInit(session, [{ type: 0x102, value: Buffer.from(input.id, 'hex') }])
for (const handle of p11.C_FindObjects(session, 10)) p11.C_DestroyObject(session, handle)
p11.C_FindObjectsFinal(session)
`

/** Another key in the place of a MAC key's secret, one that encrypts. */
const REPLACE = `
${DESTROY}
const flags = { 0x1: true, 0x2: true, 0x103: true, 0x162: false, 0x170: false, 0x171: false, 0x104: true, 0x105: true, 0x106: false, 0x107: false, 0x108: false, 0x10a: false, 0x10c: false, 0x161: 32 }
const template = Object.entries(flags).map(([type, value]) => ({ type: Number(type), value }))
template.push({ type: 0x3, value: input.label }, { type: 0x102, value: Buffer.from(input.id, 'hex') })
p11.C_GenerateKey(session, { mechanism: 0x1080 }, template)
`

describeWith([SOFTHSM_MODULE], 'the inventory of key pairs and MAC keys', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  const keys: MasterKey[] = []

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken(LABEL)
    chaos = makeChaos(softHsm, NEW_KEYS, { trace: false })
    const provider = await startProvider(settingsFor(LABEL, { module: chaos.module }))
    for (const [spec, usage] of KINDS) {
      const key = sampleKey({ spec, usage })
      await provider.createMasterKey(refOf(key), within(90_000))
      keys.push(key)
    }
    await provider.close()
  }, 120_000)
  afterAll(() => softHsm?.remove())

  const refOf = (key: MasterKey) => {
    const [version] = key.versions
    if (!version) throw new Error('a key has a version')
    return tokenRef(key, version)
  }
  const lint = async (known = true, of: readonly MasterKey[] = keys): Promise<Linted> => {
    const walk = await inspect(
      'walkToken',
      { path: chaos.module, criteria: { label: LABEL }, objectsMax: 1000 },
      { environment: chaos.env, callTimeoutMs: 20_000, pin: Buffer.from(USER_PIN) },
    )
    return lintToken(walk, known ? knownKeys(of, of, 'main') : undefined, new Set(), [])
  }
  const keyOf = (spec: KeySpec, usage: KeyUsage) => {
    const key = keys.find((one) => one.spec === spec && one.usage === usage)
    if (!key) throw new Error('every spec was made')
    return key
  }
  const codesOf = ({ findings }: Linted, keyId: string) =>
    findings.filter((one) => one.keyId === keyId).map(({ severity, code }) => `${severity} ${code}`)

  it('finds nothing wrong with what p11kms makes, with the store and without', async () => {
    const linted = await lint()
    expect(linted.findings).toEqual([])
    const pairs = KINDS.filter(([, usage]) => usage !== 'GENERATE_VERIFY_MAC').length
    expect(linted.summary).toMatchObject({ objects: KINDS.length + pairs, ours: KINDS.length + pairs })
    const signing = keyOf('ECC_NIST_P256', 'SIGN_VERIFY')
    const ours = linted.objects.filter((object) => object.ours?.keyId === signing.keyId)
    expect(new Set(ours.map((object) => object.ours?.role))).toEqual(new Set(['priv', 'pub']))
    expect(ours.find((object) => object.ours?.role === 'priv')).toMatchObject({
      class: 'PRIVATE_KEY',
      ours: { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY', versionNumber: 1 },
      attributes: {
        private: true,
        modifiable: false,
        sensitive: true,
        alwaysSensitive: true,
        extractable: false,
        neverExtractable: true,
        local: true,
        sign: true,
        decrypt: false,
        unwrap: false,
        derive: false,
      },
    })
    expect((await lint(false)).findings).toEqual([])
  })

  it('tells a key whose store row says otherwise', async () => {
    const signing = keyOf('RSA_2048', 'SIGN_VERIFY')
    const others = keys.filter((key) => key !== signing)
    const linted = await lint(true, [...others, { ...signing, usage: 'ENCRYPT_DECRYPT' }])
    expect(codesOf(linted, signing.keyId)).toEqual(['error WRONG_USAGE', 'error WRONG_USAGE'])
    const curve = keyOf('ECC_NIST_P384', 'SIGN_VERIFY')
    const asRsa = await lint(true, [...keys.filter((key) => key !== curve), { ...curve, spec: 'RSA_4096' }])
    expect(codesOf(asRsa, curve.keyId)).toEqual(['error WRONG_KIND', 'error WRONG_KIND'])
    expect(asRsa.findings[0]?.message).toMatch(
      /is no private key of spec RSA_4096|is no public key of spec RSA_4096/,
    )
  })

  it.runIf(OPENSSL_KNOWS_ML_DSA)('tells an Edwards key in the place of one of ML-DSA', async () => {
    const mlDsa = keyOf('ML_DSA_65', 'SIGN_VERIFY')
    const edwards = { ...mlDsa, spec: 'ECC_NIST_EDWARDS25519' } as const
    const linted = await lint(true, [...keys.filter((key) => key !== mlDsa), edwards])
    expect(codesOf(linted, mlDsa.keyId)).toEqual(['error WRONG_KIND', 'error WRONG_KIND'])
  })

  it('knows key pairs and MAC keys that their owner brought', async () => {
    const provider = await startProvider(settingsFor(LABEL, { pairTimeoutMs: 50_000 }))
    const brought: MasterKey[] = []
    for (const material of [
      { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' },
      { spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT' },
      { spec: 'HMAC_384', usage: 'GENERATE_VERIFY_MAC' },
    ] as const) {
      const algorithm = wrappingFor(material.spec)
      const pair = { token: 'main', pairId: randomUUID() }
      const { publicKey } = await provider.createImportPair(
        pair,
        { algorithm, spec: 'RSA_2048', material },
        within(60_000),
      )
      const imported = { state: 'Imported', since: 0, canary: 'c', importId: randomUUID() } as const
      const plain = sampleKey({ ...material, origin: 'EXTERNAL' })
      const key = { ...plain, versions: plain.versions.map((version) => ({ ...version, imported })) }
      const wrapped = wrapMaterial(algorithm, publicKey, makeMaterial(material.spec).bytes)
      await provider.importMasterKey(refOf(key), { pair, algorithm, wrapped }, within(60_000))
      await provider.destroyImportPair(pair, within(60_000))
      brought.push(key)
    }
    await provider.close()
    const [curve, rsa, mac] = await Promise.all(
      brought.map(async (key) => codesOf(await lint(true, [...keys, ...brought]), key.keyId)),
    )
    for (const pair of [curve, rsa]) expect(pair).toEqual(['info IMPORTED', 'info IMPORTED'])
    expect(mac).toEqual(['info IMPORTED'])
    for (const { keyId } of brought)
      expect(codesOf(await lint(), keyId)).toContain('warning OBJECT_WITHOUT_ROW')
    const cleaner = await startProvider(settingsFor(LABEL))
    for (const key of brought) await cleaner.destroyMasterKey(refOf(key), within(60_000))
    await cleaner.close()
  })

  it('tells a missing object, and one of another kind in its place', async () => {
    const id = (key: MasterKey, role: ObjectRole) => objectId(refOf(key), role).toString('hex')
    const half = keyOf('ECC_NIST_P521', 'SIGN_VERIFY')
    inOtherProcess(LABEL, DESTROY, { id: id(half, 'pub') })
    const gone = keyOf('HMAC_512', 'GENERATE_VERIFY_MAC')
    inOtherProcess(LABEL, DESTROY, { id: id(gone, 'mac') })
    const replaced = keyOf('HMAC_256', 'GENERATE_VERIFY_MAC')
    inOtherProcess(LABEL, REPLACE, { id: id(replaced, 'mac'), label: `kms/${replaced.keyId}/v1/mac` })
    const linted = await lint()
    expect(codesOf(linted, half.keyId)).toEqual(['error PARTIAL_VERSION'])
    expect(codesOf(linted, gone.keyId)).toEqual(['error ROW_WITHOUT_OBJECT'])
    expect(codesOf(linted, replaced.keyId)).toEqual(['error WRONG_KIND', 'error WRONG_USAGE'])
  })

  it('knows every version of a key pair, and the one that is in the making', async () => {
    const made = sampleKey({ spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' })
    const second = { versionId: randomUUID(), number: 2, createdAt: 0 }
    const grown = { ...made, versions: [...made.versions, second] }
    const provider = await startProvider(settingsFor(LABEL))
    for (const version of grown.versions)
      await provider.createMasterKey(tokenRef(grown, version), within(90_000))
    await provider.close()
    const told = async (key: MasterKey) => codesOf(await lint(true, [...keys, key]), key.keyId)
    expect(await told(grown)).toEqual([])
    const pendingVersion = { versionId: second.versionId, state: 'Making', createdAt: 0 } as const
    expect(await told({ ...made, pendingVersion })).toEqual([])
    expect(await told(made)).toEqual(['warning OBJECT_WITHOUT_ROW', 'warning OBJECT_WITHOUT_ROW'])
    const third = { versionId: randomUUID(), number: 3, createdAt: 0 }
    const lost = { ...grown, versions: [...grown.versions, third] }
    expect(await told(lost)).toEqual(['error ROW_WITHOUT_OBJECT'])
  })
})
