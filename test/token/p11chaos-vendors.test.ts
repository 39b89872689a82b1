import pkcs11js from 'pkcs11js'
import { expect, it } from 'vitest'
import {
  AAD,
  CKM_AES_KEY_WRAP_PAD,
  chaosBench,
  ckr,
  gcm,
  type Handle,
  RW_SESSION,
  TEXT,
} from '../support/chaos-session.ts'
import { describeWith, SOFTHSM_MODULE } from '../support/softhsm.ts'

describeWith([SOFTHSM_MODULE], "p11chaos, for other vendors' ways", () => {
  const bench = chaosBench()

  it('writes the IV that it chose into the buffer of the caller', () => {
    bench.chaos.set('gcm-iv written-back')
    const ivs = [Buffer.alloc(12), Buffer.alloc(12)]
    const sealed = ivs.map((iv) => bench.encrypt(iv))
    expect(new Set([...ivs, Buffer.alloc(12)].map((iv) => iv.toString('hex'))).size).toBe(3)
    for (const [index, bytes] of sealed.entries()) {
      expect(bytes.length).toBe(TEXT.length + 16)
      expect(bench.decrypt(ivs[index] ?? AAD, bytes)).toEqual(TEXT)
    }
    for (const iv of [Buffer.alloc(12, 1), Buffer.alloc(16), Buffer.alloc(0)]) {
      expect(ckr(() => bench.encrypt(iv))).toBe('CKR_MECHANISM_PARAM_INVALID')
    }
    bench.chaos.clear()
    expect(bench.decrypt(ivs[0] ?? AAD, sealed[0] ?? AAD)).toEqual(TEXT)
  })

  it('appends the IV that it chose to the ciphertext', () => {
    bench.chaos.set('gcm-iv appended')
    const bytes = bench.encrypt(Buffer.alloc(0))
    expect(bytes.length).toBe(TEXT.length + 16 + 16)
    const [sealed, iv] = [bytes.subarray(0, -16), bytes.subarray(-16)]
    expect(bench.decrypt(iv, sealed)).toEqual(TEXT)
    expect(bench.encrypt(Buffer.alloc(0)).subarray(-16)).not.toEqual(iv)
    expect(ckr(() => bench.encrypt(Buffer.alloc(12)))).toBe('CKR_MECHANISM_PARAM_INVALID')
    expect(ckr(() => bench.decrypt(iv, sealed, 0))).toBe('CKR_MECHANISM_PARAM_INVALID')
    expect(ckr(() => bench.decrypt(iv, bytes))).toBe('CKR_GENERAL_ERROR')
    bench.session = bench.p11.C_OpenSession(bench.slot, RW_SESSION)
    bench.p11.C_EncryptInit(bench.session, gcm(Buffer.alloc(0)), bench.key)
    expect(ckr(() => bench.p11.C_Encrypt(bench.session, TEXT, Buffer.alloc(63)))).toBe('CKR_BUFFER_TOO_SMALL')
    const again = bench.p11.C_Encrypt(bench.session, TEXT, Buffer.alloc(64))
    expect(bench.decrypt(again.subarray(-16), again.subarray(0, -16))).toEqual(TEXT)
    bench.chaos.clear()
    expect(bench.decrypt(iv, sealed)).toEqual(TEXT)
  })

  it('appends the IV in the last part of an encryption in parts', () => {
    bench.chaos.set('gcm-iv appended')
    bench.p11.C_EncryptInit(bench.session, gcm(Buffer.alloc(0)), bench.key)
    const parts = [TEXT.subarray(0, 5), TEXT.subarray(5)].map((bytes) =>
      bench.p11.C_EncryptUpdate(bench.session, bytes, Buffer.alloc(96)),
    )
    const bytes = Buffer.concat([...parts, bench.p11.C_EncryptFinal(bench.session, Buffer.alloc(96))])
    expect(bench.decrypt(bytes.subarray(-16), bytes.subarray(0, -16))).toEqual(TEXT)
  })

  it('answers a wrong tag as other vendors do', () => {
    const iv = Buffer.alloc(12, 1)
    const sealed = bench.encrypt(iv)
    const forged = Buffer.from(sealed)
    forged[0] = (forged[0] ?? 0) ^ 1
    bench.chaos.set('wrong-tag CKR_ENCRYPTED_DATA_INVALID')
    expect(ckr(() => bench.decrypt(iv, forged))).toBe('CKR_ENCRYPTED_DATA_INVALID')
    bench.chaos.set('wrong-tag CKR_FUNCTION_FAILED')
    expect(ckr(() => bench.decrypt(iv, forged))).toBe('CKR_FUNCTION_FAILED')
    bench.chaos.clear()
    expect(ckr(() => bench.decrypt(iv, forged))).toBe('CKR_GENERAL_ERROR')
  })

  it('unwraps to readable keys without being asked, and refuses to be asked', () => {
    const mechanism = { mechanism: CKM_AES_KEY_WRAP_PAD }
    const wrapped = bench.p11.C_WrapKey(
      bench.session,
      mechanism,
      bench.key,
      bench.makeKey(),
      Buffer.alloc(64),
    )
    const template = [
      { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
      { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_GENERIC_SECRET },
    ]
    const readable = { type: pkcs11js.CKA_SENSITIVE, value: false }
    const unwrap = (more: (typeof readable)[] = []) =>
      bench.p11.C_UnwrapKey(bench.session, mechanism, bench.key, wrapped, [...template, ...more])
    const length = (handle: Handle) => {
      const [attribute] = bench.p11.C_GetAttributeValue(bench.session, handle, [{ type: pkcs11js.CKA_VALUE }])
      return attribute?.value?.length
    }
    expect(length(unwrap([readable, { type: pkcs11js.CKA_EXTRACTABLE, value: true }]))).toBe(32)
    bench.chaos.set('unwrap-no-template-override')
    expect(ckr(() => unwrap([readable]))).toBe('CKR_ATTRIBUTE_READ_ONLY')
    expect(ckr(() => unwrap([{ type: pkcs11js.CKA_EXTRACTABLE, value: true }]))).toBe(
      'CKR_ATTRIBUTE_READ_ONLY',
    )
    expect(length(unwrap())).toBe(32)
  })
})
