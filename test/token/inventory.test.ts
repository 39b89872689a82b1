import { randomUUID } from 'node:crypto'
import { readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { MasterKey } from '../../src/core/key.ts'
import { inspect } from '../../src/providers/pkcs11/inspect/inspector.ts'
import { knownKeys } from '../../src/providers/pkcs11/inspect/lint/known-versions.ts'
import { type Linted, lintToken } from '../../src/providers/pkcs11/inspect/lint/lint.ts'
import { type MasterKeyRole, objectId, objectLabel } from '../../src/providers/pkcs11/object-names.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { next, sampleKey } from '../support/key-store-samples.ts'
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

const LABEL = 'inventory'
const OBJECTS_MAX = 1000

/** Makes AES keys as p11kms does, but for what is `changed`: numbers of attributes and their values. */
const MAKE_KEYS = `
for (const { role, changed, label, id } of input.keys) {
const flags = { 0x1: true, 0x2: true, 0x103: true, 0x162: false, 0x170: false, 0x171: false, 0x108: false, 0x10a: false, 0x10c: false }
const usage = role === 'enc' ? { 0x104: true, 0x105: true, 0x106: false, 0x107: false } : { 0x104: false, 0x105: false, 0x106: true, 0x107: true }
const said = { 0x161: 32, ...flags, ...usage, ...changed }
const template = Object.entries(said).map(([type, value]) => ({ type: Number(type), value }))
template.push({ type: 0x3, value: label }, { type: 0x102, value: Buffer.from(id, 'hex') })
p11.C_GenerateKey(session, { mechanism: 0x1080 }, template)
}`

/** Makes a token object of other kinds. */
const CREATE = `
p11.C_CreateObject(session, input.template.map(({ type, value, hex }) => ({ type, value: hex === undefined ? value : Buffer.from(hex, 'hex') })))
`

const DESTROY = `
p11.C_FindObjectsInit(session, [{ type: 0x102, value: Buffer.from(input.id, 'hex') }])
const found = p11.C_FindObjects(session, 10)
p11.C_FindObjectsFinal(session)
for (const handle of found) p11.C_DestroyObject(session, handle)
`

describeWith([SOFTHSM_MODULE], 'the inventory of a token', () => {
  let softHsm: SoftHsm
  let provider: Pkcs11Provider
  let key: MasterKey

  beforeAll(() => {
    softHsm = makeSoftHsm()
  })
  afterAll(() => softHsm?.remove())

  // A token of its own per test.
  let label = LABEL
  let count = 0
  beforeEach(async () => {
    label = `${LABEL}-${count++}`
    softHsm.initToken(label)
    provider = await startProvider(settingsFor(label, { laneTimeoutMs: 30_000, pairTimeoutMs: 20_000 }))
    key = sampleKey()
    await provider.createMasterKey(refOf(key), within())
    return () => provider.close()
  })

  const refOf = ({ keyId, versions }: MasterKey) => ({
    token: 'main',
    keyId,
    versionId: versions[0]?.versionId ?? '',
    versionNumber: 1,
  })
  const idOf = (one: MasterKey, role: MasterKeyRole) => objectId(refOf(one), role).toString('hex')
  const labelOf = (one: MasterKey, role: MasterKeyRole) => objectLabel(refOf(one), role)
  const walk = (objectsMax = OBJECTS_MAX) =>
    inspect(
      'walkToken',
      { path: SOFTHSM_MODULE, criteria: { label }, objectsMax },
      { environment: {}, callTimeoutMs: 20_000, pin: Buffer.from(USER_PIN) },
    )
  const keyOf = (role: MasterKeyRole, changed: Readonly<Record<number, unknown>> = {}, of = key) => ({
    role,
    changed,
    label: labelOf(of, role),
    id: idOf(of, role),
  })
  const make = (...keys: readonly ReturnType<typeof keyOf>[]) => inOtherProcess(label, MAKE_KEYS, { keys })
  const lint = async (keys: readonly MasterKey[] = [key]): Promise<Linted> =>
    lintToken(await walk(), knownKeys(keys, keys, 'main'), new Set(), [])
  const codes = ({ findings }: Linted) => findings.map(({ severity, code }) => `${severity} ${code}`)

  it('finds nothing wrong with what p11kms makes, and knows each object by key, version and role', async () => {
    const linted = await lint()
    expect(linted.findings).toEqual([])
    expect(linted.summary).toEqual({
      objects: 2,
      ours: 2,
      versionsInStore: 1,
      errors: 0,
      warnings: 0,
      infos: 0,
    })
    const version = { keyId: key.keyId, versionId: refOf(key).versionId, versionNumber: 1, state: 'Enabled' }
    const enc = linted.objects.find(({ ours }) => ours?.role === 'enc')
    expect(enc).toEqual({
      class: 'SECRET_KEY',
      keyType: 'AES',
      bits: 256,
      label: labelOf(key, 'enc'),
      id: idOf(key, 'enc'),
      ours: { ...version, role: 'enc' },
      attributes: {
        private: true,
        modifiable: false,
        copyable: false,
        destroyable: true,
        sensitive: true,
        alwaysSensitive: true,
        extractable: false,
        neverExtractable: true,
        local: true,
        encrypt: true,
        decrypt: true,
        wrap: false,
        unwrap: false,
        sign: false,
        verify: false,
        derive: false,
      },
    })
    expect(linted.objects.find(({ ours }) => ours?.role === 'wrap')?.ours).toEqual({
      ...version,
      role: 'wrap',
    })
  })

  it('tells of every attribute that is not as p11kms asks for it, by object and key', async () => {
    const rows = [
      ['enc', { 0x162: true }, ['error EXTRACTABLE', 'warning NOT_NEVER_EXTRACTABLE']],
      ['enc', { 0x103: false }, ['error NOT_SENSITIVE', 'warning NOT_ALWAYS_SENSITIVE']],
      ['enc', { 0x2: false }, ['error NOT_PRIVATE']],
      ['enc', { 0x170: true }, ['warning MODIFIABLE']],
      ['enc', { 0x171: true }, ['warning COPYABLE']],
      ['enc', { 0x161: 16 }, ['error WRONG_KIND']],
      ['enc', { 0x107: true }, ['error UNWRAPS_AND_DECRYPTS']],
      ['enc', { 0x108: true }, ['warning WRONG_USAGE']],
      ['wrap', { 0x107: false }, ['error WRONG_USAGE']],
    ] as const
    const bad = rows.map(([role, changed, expected]) => ({ role, changed, expected, of: sampleKey() }))
    make(
      ...bad.flatMap(({ role, changed, of }) => [
        keyOf(role, changed, of),
        keyOf(role === 'enc' ? 'wrap' : 'enc', {}, of),
      ]),
    )
    const { findings, objects } = await lint([key, ...bad.map(({ of }) => of)])
    for (const { role, expected, of } of bad) {
      const told = findings.filter(({ keyId }) => keyId === of.keyId)
      expect(told.map(({ severity, code }) => `${severity} ${code}`)).toEqual(expected)
      for (const remark of told) {
        expect(remark.message).toContain(labelOf(of, role))
        expect(remark.next).not.toBe('')
        expect(objects[remark.object ?? -1]?.id).toBe(idOf(of, role))
      }
    }
    expect(findings).toHaveLength(rows.flatMap(([, , expected]) => expected).length)
  })

  it('tells of a key that was brought into the token from outside', async () => {
    const other = sampleKey()
    make(keyOf('wrap', {}, other))
    const flags = { 0x1: true, 0x2: true, 0x103: true, 0x162: false, 0x170: false, 0x171: false }
    const usages = {
      0x104: true,
      0x105: true,
      0x106: false,
      0x107: false,
      0x108: false,
      0x10a: false,
      0x10c: false,
    }
    const template = [
      { type: 0, value: 4 },
      { type: 0x100, value: 0x1f },
      { type: 0x11, hex: '11'.repeat(32) },
      { type: 0x3, value: labelOf(other, 'enc') },
      { type: 0x102, hex: idOf(other, 'enc') },
      ...Object.entries({ ...flags, ...usages }).map(([type, value]) => ({ type: Number(type), value })),
    ]
    inOtherProcess(label, CREATE, { template })
    const linted = await lint([key, other])
    expect(codes(linted)).toEqual([
      'warning NOT_ALWAYS_SENSITIVE',
      'warning NOT_NEVER_EXTRACTABLE',
      'warning NOT_LOCAL',
    ])
    const waived = lintToken(await walk(), undefined, new Set(['local']), [])
    expect(codes(waived)).not.toContain('warning NOT_LOCAL')
    const imported = { state: 'Imported', since: 0 } as const
    const versions = other.versions.map((version) => ({ ...version, imported }))
    expect(codes(await lint([key, { ...other, origin: 'EXTERNAL', versions }]))).toEqual([
      'info IMPORTED',
      'info IMPORTED',
    ])
  })

  it('knows the private key of an import token, but for one that anybody could read', async () => {
    const pairId = randomUUID()
    const material = { spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT' } as const
    const wrapping = { algorithm: 'RSAES_OAEP_SHA_1', spec: 'RSA_2048', material } as const
    await provider.createImportPair({ token: 'main', pairId }, wrapping, within(30_000))
    expect(codes(await lint())).toEqual(['info IMPORT_PAIR'])
    const { objects } = await walk()
    const read = objects.map((object) => ({
      ...object,
      attributes: { ...object.attributes, sensitive: object.label !== `kms-import/${pairId}` },
    }))
    const known = knownKeys([key], [key], 'main')
    expect(codes(lintToken({ objects: read, cut: false }, known, new Set(), []))).toEqual([
      'error NOT_SENSITIVE',
      'info IMPORT_PAIR',
    ])
    const renamed = objects.map((object) => ({ ...object, id: `x${object.id}` }))
    expect(codes(lintToken({ objects: renamed, cut: false }, undefined, new Set(), []))).toContain(
      'warning UNKNOWN_OBJECT',
    )
  })

  it('tells of a second object with the CKA_ID and the label of a first', async () => {
    make(keyOf('enc'))
    expect(codes(await lint())).toEqual(['error DUPLICATE_ID', 'error DUPLICATE_LABEL'])
  })

  it('tells of a label and a CKA_ID that name different things', async () => {
    const other = sampleKey()
    make(
      keyOf('wrap', {}, other),
      { ...keyOf('enc', {}, other), label: labelOf(key, 'wrap') },
      { ...keyOf('enc', {}, other), id: 'ab'.repeat(16) },
    )
    const linted = await lint([key, other])
    expect(codes(linted)).toEqual([
      'error LABEL_AND_ID_DISAGREE',
      'error LABEL_AND_ID_DISAGREE',
      'error DUPLICATE_LABEL',
    ])
  })

  it('tells of objects that are not ours, and what they can do, without calling them errors', async () => {
    const template = [
      { type: 0, value: 4 },
      { type: 0x100, value: 0x1f },
      { type: 0x1, value: true },
      { type: 0x11, hex: '22'.repeat(32) },
      { type: 0x3, value: 'payroll \u001b[2J' },
      { type: 0x103, value: false },
      { type: 0x162, value: true },
      { type: 0x105, value: true },
      { type: 0x107, value: true },
    ]
    inOtherProcess(label, CREATE, { template })
    inOtherProcess(label, CREATE, {
      template: [
        { type: 0, value: 0 },
        { type: 0x1, value: true },
        { type: 0x3, value: 'notes' },
      ],
    })
    const linted = await lint()
    expect(codes(linted)).toEqual([
      'warning UNKNOWN_OBJECT',
      'warning UNKNOWN_OBJECT',
      'info EXTRACTABLE',
      'info NOT_SENSITIVE',
      'info UNWRAPS_AND_DECRYPTS',
    ])
    expect(linted.objects.find((object) => object.label === 'notes')?.class).toBe('DATA')
  })

  it('tells of objects that no row is for, and of those of a deleted key', async () => {
    expect(codes(await lint([]))).toEqual(['warning OBJECT_WITHOUT_ROW', 'warning OBJECT_WITHOUT_ROW'])
    expect(codes(await lint([{ ...key, token: 'other' }]))).toEqual([
      'warning OBJECT_WITHOUT_ROW',
      'warning OBJECT_WITHOUT_ROW',
    ])
    const deleted = await lint([{ ...key, state: 'Deleted' }])
    expect(codes(deleted)).toEqual(['warning OBJECT_OF_DELETED_KEY', 'warning OBJECT_OF_DELETED_KEY'])
    expect(deleted.summary.versionsInStore).toBe(0)
  })

  it('tells of versions whose objects are gone, whole or by half, but not of those in the making', async () => {
    const gone = sampleKey()
    const missing = await lint([key, gone])
    expect(codes(missing)).toEqual(['error ROW_WITHOUT_OBJECT'])
    expect(missing.findings[0]).toMatchObject({ keyId: gone.keyId })
    expect(missing.findings[0]?.message).toContain(labelOf(gone, 'enc'))

    expect(codes(await lint([key, { ...gone, state: 'Creating' }]))).toEqual(['info CREATION_UNFINISHED'])
    expect(codes(await lint([key, { ...gone, state: 'Deleting' }]))).toEqual([])
    expect(codes(await lint([key, { ...gone, state: 'Deleted' }]))).toEqual([])

    const pendingVersion = {
      versionId: crypto.randomUUID(),
      state: 'Making',
      rotation: 'AUTOMATIC',
      createdAt: 0,
    } as const
    expect(codes(await lint([{ ...key, pendingVersion }]))).toEqual(['info CREATION_UNFINISHED'])

    inOtherProcess(label, DESTROY, { id: idOf(key, 'wrap') })
    const partial = await lint()
    expect(codes(partial)).toEqual(['error PARTIAL_VERSION'])
    expect(partial.findings[0]?.message).toContain(labelOf(key, 'wrap'))
  })

  it('does not call missing what changed in the store while the token was walked', async () => {
    const made = sampleKey()
    const walked = await walk()
    const moved = lintToken(walked, knownKeys([key, made], [key, next(made)], 'main'), new Set(), [])
    expect(codes(moved)).toEqual(['info CREATION_UNFINISHED'])
    const appeared = lintToken(walked, knownKeys([key], [key, made], 'main'), new Set(), [])
    expect(codes(appeared)).toEqual(['info CREATION_UNFINISHED'])
  })

  it('looks at no more objects than it was asked to, and then calls nothing missing', async () => {
    const walked = await walk(1)
    expect(walked.objects).toHaveLength(1)
    const linted = lintToken(walked, knownKeys([key, sampleKey()], [key, sampleKey()], 'main'), new Set(), [])
    expect(codes(linted)).toEqual(['warning NOT_ALL_OBJECTS'])
    expect((await walk(2)).cut).toBe(false)
  })

  it('goes by labels where the store is left out', async () => {
    const linted = lintToken(await walk(), undefined, new Set(), [])
    expect(linted.findings).toEqual([])
    expect(linted.objects.map(({ ours }) => ours?.keyId)).toEqual([key.keyId, key.keyId])
    expect(linted.summary).not.toHaveProperty('versionsInStore')
  })

  it('names an object without attributes, which a cut-off creation leaves on SoftHSM, and goes on', async () => {
    const other = sampleKey()
    make(keyOf('enc', {}, other))
    await provider.close()
    const [newest] = objectFiles(softHsm.tokens).toSorted((a, b) => b.made - a.made)
    // What SoftHSM writes first: the generation of the object, 8 bytes.
    truncateSync(newest?.path ?? '', 8)
    const linted = await lint()
    expect(codes(linted)).toEqual(['info UNREADABLE_OBJECT'])
    expect(linted.objects).toHaveLength(3)
  })

  it('takes keys of every class as they are', async () => {
    const pair = `
        const pub = [{ type: 0x1, value: true }, { type: 0x3, value: 'pair' }, { type: 0x102, value: Buffer.from('77', 'hex') }, { type: 0x121, value: 2048 }]
        const priv = [...pub.slice(0, 3), { type: 0x103, value: true }, { type: 0x107, value: false }]
        p11.C_GenerateKeyPair(session, { mechanism: 0 }, pub, priv)`
    inOtherProcess(label, pair, {})
    const linted = await lint()
    const pairOf = linted.objects.filter((object) => object.label === 'pair')
    expect(pairOf.map(({ class: kind, keyType, bits }) => `${kind} ${keyType} ${bits}`).toSorted()).toEqual([
      'PRIVATE_KEY RSA 2048',
      'PUBLIC_KEY RSA 2048',
    ])
    // A pair shares label and CKA_ID by custom.
    expect(codes(linted)).toEqual(['warning UNKNOWN_OBJECT', 'warning UNKNOWN_OBJECT'])
  })
})

function objectFiles(tokens: string): { readonly path: string; readonly made: number }[] {
  return readdirSync(tokens, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.object') && !name.endsWith('token.object'))
    .map((name) => ({ path: join(tokens, name), made: statSync(join(tokens, name)).birthtimeMs }))
}
