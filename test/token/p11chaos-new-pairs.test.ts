import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { ed25519ph } from '@noble/curves/ed25519.js'
import { expect, it } from 'vitest'
import { ML_DSA_SETS, type MlDsaSetName, verifyMlDsa } from '../../src/core/ml-dsa.ts'
import { ed25519Spki, mlDsaSpki } from '../../src/core/spki.ts'
import { chaosBench, ckr, type Handle, RW_SESSION } from '../support/chaos-session.ts'
import { describeNewKeys } from '../support/new-keys.ts'
import { muOf } from '../support/noble-signatures.ts'

const CKM = { generate: 0x1c, sign: 0x1d, signMu: 0x403c, edwards: 0x1055, eddsa: 0x1057 }
const CKA = {
  class: 0x0,
  token: 0x1,
  private: 0x2,
  label: 0x3,
  value: 0x11,
  keyType: 0x100,
  sensitive: 0x103,
  sign: 0x108,
  verify: 0x10a,
  extractable: 0x162,
  local: 0x163,
  neverExtractable: 0x164,
  alwaysSensitive: 0x165,
  modifiable: 0x170,
  ecParams: 0x180,
  ecPoint: 0x181,
  parameterSet: 0x61d,
}
const CKK_ML_DSA = 0x4a
const SETS = Object.keys(ML_DSA_SETS) as MlDsaSetName[]
const TEXT = Buffer.from('of a token that knows more')

describeNewKeys('p11chaos, for tokens that know more than SoftHSM', () => {
  const bench = chaosBench()

  function generate(mechanism: number, parameters: object, token = false) {
    const toTemplate = (values: object) =>
      Object.entries(values).map(([name, value]) => ({
        type: CKA[name as keyof typeof CKA],
        value: value as boolean,
      }))
    const label = { label: `pair-${mechanism}` }
    const pub = { token, private: false, modifiable: false, verify: true, ...label, ...parameters }
    const priv = { token, private: true, sensitive: true, extractable: false, modifiable: false, sign: true }
    return bench.p11.C_GenerateKeyPair(
      bench.session,
      { mechanism },
      toTemplate(pub),
      toTemplate({ ...priv, ...label }),
    )
  }
  const mlDsa = (set: MlDsaSetName, token = false) =>
    generate(CKM.generate, { keyType: CKK_ML_DSA, parameterSet: SETS.indexOf(set) + 1 }, token)
  const edwards = () => generate(CKM.edwards, { ecParams: Buffer.from('06032b6570', 'hex') })
  const read = (handle: Handle, name: keyof typeof CKA): Buffer => {
    const [attribute] = bench.p11.C_GetAttributeValue(bench.session, handle, [{ type: CKA[name] }])
    return attribute?.value as Buffer
  }
  const sign = (key: Handle, data: Buffer, mechanism: number, parameter?: Buffer): Buffer => {
    bench.p11.C_SignInit(bench.session, parameter ? { mechanism, parameter } : { mechanism }, key)
    return bench.p11.C_Sign(bench.session, data, Buffer.alloc(5000))
  }
  const spkiOf = (set: MlDsaSetName, publicKey: Handle) => mlDsaSpki(set, read(publicKey, 'value'))
  const publicKeyOf = (spki: Buffer): KeyObject => createPublicKey({ key: spki, format: 'der', type: 'spki' })

  it.each(SETS)('makes pairs of %s that sign as OpenSSL verifies', (set) => {
    bench.chaos.set('ml-dsa external-mu')
    const { publicKey, privateKey } = mlDsa(set)
    const spki = spkiOf(set, publicKey)
    for (const message of [Buffer.of(1), TEXT, Buffer.alloc(4096, 3)]) {
      const signature = sign(privateKey, message, CKM.sign)
      expect(signature).toHaveLength(ML_DSA_SETS[set].signatureBytes)
      expect(verify(null, message, publicKeyOf(spki), signature)).toBe(true)
    }
    const ofMu = sign(privateKey, muOf(spki, TEXT), CKM.signMu)
    expect(verify(null, TEXT, publicKeyOf(spki), ofMu)).toBe(true)
    expect(verifyMlDsa(spki, 'message', TEXT, ofMu)).toBe(true)
    expect(spkiOf(set, mlDsa(set).publicKey)).not.toEqual(spki)
  })

  it('gives their attributes as PKCS#11 v3.2 has them, and no private value', () => {
    bench.chaos.set('ml-dsa')
    const { publicKey, privateKey } = mlDsa('ML_DSA_65')
    for (const handle of [publicKey, privateKey]) {
      expect(read(handle, 'keyType').readUInt8()).toBe(CKK_ML_DSA)
      expect(read(handle, 'parameterSet').readUInt8()).toBe(2)
      expect(ckr(() => read(handle, 'ecPoint'))).toBe('CKR_ATTRIBUTE_TYPE_INVALID')
      expect(ckr(() => read(handle, 'ecParams'))).toBe('CKR_ATTRIBUTE_TYPE_INVALID')
      expect(read(handle, 'modifiable')).toEqual(Buffer.of(0))
      expect(read(handle, 'local')).toEqual(Buffer.of(1))
    }
    expect(ckr(() => read(privateKey, 'value'))).toBe('CKR_ATTRIBUTE_SENSITIVE')
    for (const name of ['alwaysSensitive', 'neverExtractable', 'private'] as const)
      expect(read(privateKey, name)).toEqual(Buffer.of(1))
  })

  it('keeps pairs in the token until they are destroyed, and the others with their session', () => {
    bench.chaos.set('ml-dsa')
    const { publicKey, privateKey } = mlDsa('ML_DSA_44', true)
    const spki = spkiOf('ML_DSA_44', publicKey)
    mlDsa('ML_DSA_44')
    bench.p11.C_CloseAllSessions(bench.slot)
    bench.session = bench.login(bench.slot)
    const find = () => {
      bench.p11.C_FindObjectsInit(bench.session, [{ type: CKA.label, value: `pair-${CKM.generate}` }])
      const found = bench.p11.C_FindObjects(bench.session, 10)
      bench.p11.C_FindObjectsFinal(bench.session)
      return found
    }
    const isPrivate = (handle: Handle) => read(handle, 'class').readUInt8() === 3
    const found = find()
    expect(new Set(found.map(isPrivate))).toEqual(new Set([false, true]))
    expect(found).toHaveLength(2)
    const again = found.find(isPrivate) ?? privateKey
    expect(verify(null, TEXT, publicKeyOf(spki), sign(again, TEXT, CKM.sign))).toBe(true)
    for (const handle of found) bench.p11.C_DestroyObject(bench.session, handle)
    expect(find()).toEqual([])
  })

  it('refuses what such a token refuses', () => {
    bench.chaos.set('ml-dsa')
    expect(ckr(() => generate(CKM.generate, {}))).toBe('CKR_TEMPLATE_INCOMPLETE')
    expect(ckr(() => generate(CKM.generate, { parameterSet: 4 }))).toBe('CKR_PARAMETER_SET_NOT_SUPPORTED')
    const { privateKey } = mlDsa('ML_DSA_44')
    expect(ckr(() => sign(privateKey, TEXT, CKM.eddsa))).toBe('CKR_KEY_TYPE_INCONSISTENT')
    expect(ckr(() => sign(privateKey, Buffer.alloc(64), CKM.signMu))).toBe('CKR_MECHANISM_INVALID')
    expect(ckr(() => sign(privateKey, TEXT, CKM.sign, Buffer.alloc(24)))).toBe('CKR_MECHANISM_PARAM_INVALID')
    bench.p11.C_SignInit(bench.session, { mechanism: CKM.sign }, privateKey)
    expect(ckr(() => bench.p11.C_Sign(bench.session, TEXT, Buffer.alloc(100)))).toBe('CKR_BUFFER_TOO_SMALL')
    expect(bench.p11.C_Sign(bench.session, TEXT, Buffer.alloc(2420))).toHaveLength(2420)
    bench.chaos.set('ml-dsa external-mu')
    expect(ckr(() => sign(privateKey, Buffer.alloc(63), CKM.signMu))).toBe('CKR_DATA_LEN_RANGE')
    bench.session = bench.p11.C_OpenSession(bench.slot, RW_SESSION)
    expect(ckr(() => sign(bench.key, TEXT, CKM.sign))).not.toBe('CKR_OK')
    bench.chaos.clear()
    expect(ckr(() => mlDsa('ML_DSA_44'))).toBe('CKR_MECHANISM_INVALID')
    expect(ckr(() => sign(privateKey, TEXT, CKM.sign))).toBe('CKR_MECHANISM_INVALID')
  })

  it('lists the mechanisms while the rule stands', () => {
    const list = () => bench.p11.C_GetMechanismList(bench.slot)
    const listed = () => [CKM.generate, CKM.sign, CKM.signMu].map((mechanism) => list().includes(mechanism))
    expect(listed()).toEqual([false, false, false])
    bench.chaos.set('ml-dsa')
    expect(listed()).toEqual([true, true, false])
    bench.chaos.set('ml-dsa external-mu')
    expect(listed()).toEqual([true, true, true])
    expect(ckr(() => bench.p11.C_GetMechanismInfo(bench.slot, CKM.sign))).toBe('CKR_OK')
  })

  it.each([
    ['of-digests', (digest: Buffer) => digest],
    ['of-messages', () => TEXT],
  ] as const)('signs with Ed25519ph %s, and as Ed25519 without the flag', (way, dataOf) => {
    bench.chaos.set(`ed25519ph ${way}`)
    const { publicKey, privateKey } = edwards()
    const point = read(publicKey, 'ecPoint').subarray(-32)
    expect(verify(null, TEXT, publicKeyOf(ed25519Spki(point)), sign(privateKey, TEXT, CKM.eddsa))).toBe(true)
    const parameter = Buffer.alloc(24)
    parameter[0] = 1
    const digest = createHash('sha512').update(TEXT).digest()
    const signature = sign(privateKey, dataOf(digest), CKM.eddsa, parameter)
    expect(ed25519ph.verify(signature, TEXT, point)).toBe(true)
  })
})
