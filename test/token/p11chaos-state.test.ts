import { join } from 'node:path'
import pkcs11js from 'pkcs11js'
import { expect, it } from 'vitest'
import {
  CKM_AES_KEY_WRAP_PAD,
  CKU_USER,
  chaosBench,
  ckr,
  drawElsewhere,
  RW_SESSION,
  times,
} from '../support/chaos-session.ts'
import { describeWith, SOFTHSM_MODULE, USER_PIN } from '../support/softhsm.ts'

const CKM_AES_GCM = 0x1087
const CKM_AES_KEY_WRAP_KWP = 0x210b

describeWith([SOFTHSM_MODULE], 'p11chaos, for what state a token is in', () => {
  const bench = chaosBench()

  it('caps sessions and shows the cap', () => {
    bench.chaos.set('sessions-max 3 token=first')
    const opened = [
      bench.p11.C_OpenSession(bench.slot, RW_SESSION),
      bench.p11.C_OpenSession(bench.slot, RW_SESSION),
    ]
    const open = () => bench.p11.C_OpenSession(bench.slot, RW_SESSION)
    expect(ckr(open)).toBe('CKR_SESSION_COUNT')
    expect(bench.p11.C_GetTokenInfo(bench.slot)).toMatchObject({ maxSessionCount: 3, sessionCount: 3 })
    expect(ckr(() => bench.p11.C_OpenSession(bench.slotOf('second'), RW_SESSION))).toBe('CKR_OK')
    bench.p11.C_CloseSession(opened[0] ?? bench.session)
    expect(ckr(open)).toBe('CKR_OK')
    expect(ckr(open)).toBe('CKR_SESSION_COUNT')
  })

  it('counts wrong PINs, shows it in the flags of the token, and locks', () => {
    const second = bench.slotOf('second')
    const other = bench.p11.C_OpenSession(second, RW_SESSION)
    const LOW = 0x10000
    const FINAL = 0x20000
    const LOCKED = 0x40000
    const flags = () => bench.p11.C_GetTokenInfo(second).flags & (LOW | FINAL | LOCKED)
    const wrong = () => ckr(() => bench.p11.C_Login(other, CKU_USER, 'wrong'))
    const right = () => ckr(() => bench.p11.C_Login(other, CKU_USER, USER_PIN))
    bench.chaos.set('pin-tries 3 token=second')
    expect(flags()).toBe(0)
    expect(wrong()).toBe('CKR_PIN_INCORRECT')
    expect(flags()).toBe(LOW)
    expect(wrong()).toBe('CKR_PIN_INCORRECT')
    expect(flags()).toBe(LOW | FINAL)
    expect(right()).toBe('CKR_OK')
    expect(flags()).toBe(0)
    bench.p11.C_Logout(other)
    expect([wrong(), wrong(), wrong(), wrong(), right()]).toEqual([
      ...Array.from({ length: 3 }, () => 'CKR_PIN_INCORRECT'),
      'CKR_PIN_LOCKED',
      'CKR_PIN_LOCKED',
    ])
    expect(flags()).toBe(LOW | LOCKED)
    bench.chaos.set('pin-locked token=second')
    expect(right()).toBe('CKR_PIN_LOCKED')
    expect(flags()).toBe(LOCKED)
    bench.chaos.clear()
    expect(right()).toBe('CKR_OK')
  })

  it('counts wrong PINs of several processes in a file', () => {
    const state = join(bench.softHsm.directory, 'wrong-pins')
    bench.chaos.set(`pin-tries 2 state=${state}`)
    const answers = Array.from({ length: 3 }, () => drawElsewhere(bench.chaos, 'wrong').stdout.split('\n')[0])
    expect(answers).toEqual(['160', '160', '164'])
    expect(drawElsewhere(bench.chaos).stdout).toMatch(/^164\n/)
  })

  it('hides mechanisms and lists false ones', () => {
    bench.chaos.set([
      'hide-mechanism CKM_AES_GCM,CKM_AES_KEY_WRAP_PAD',
      'list-mechanism 0x210B',
      'list-mechanism 0x402a',
    ])
    const listed = bench.p11.C_GetMechanismList(bench.slot)
    expect(listed).not.toContain(CKM_AES_GCM)
    expect(listed).toContain(CKM_AES_KEY_WRAP_KWP)
    expect(listed).toContain(0x402a)
    expect(ckr(() => bench.p11.C_GetMechanismInfo(bench.slot, CKM_AES_GCM))).toBe('CKR_MECHANISM_INVALID')
    expect(ckr(() => bench.p11.C_GetMechanismInfo(bench.slot, CKM_AES_KEY_WRAP_KWP))).toBe('CKR_OK')
    expect(ckr(() => bench.encrypt(Buffer.alloc(12)))).toBe('CKR_MECHANISM_INVALID')
    const wrap = (mechanism: number) => () =>
      bench.p11.C_WrapKey(bench.session, { mechanism }, bench.key, bench.makeKey(), Buffer.alloc(64))
    expect(ckr(wrap(CKM_AES_KEY_WRAP_PAD))).toBe('CKR_MECHANISM_INVALID')
    expect(ckr(wrap(CKM_AES_KEY_WRAP_KWP))).toBe('CKR_MECHANISM_INVALID')
    bench.chaos.clear()
    expect(ckr(wrap(CKM_AES_KEY_WRAP_PAD))).toBe('CKR_OK')
  })

  it('hides attributes from templates and from what is read', () => {
    bench.chaos.set(['hide-attribute CKA_COPYABLE,0x172', 'hide-attribute CKA_VALUE_LEN token=second'])
    const value = { type: pkcs11js.CKA_VALUE, value: Buffer.alloc(32) }
    const kind = [
      { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
      { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
      { type: pkcs11js.CKA_TOKEN, value: false },
      value,
    ]
    const create = (more: object[]) =>
      bench.p11.C_CreateObject(bench.session, [...kind, ...more] as pkcs11js.Template)
    const pair = (more: object[], whose: 'public' | 'private') =>
      bench.p11.C_GenerateKeyPair(
        bench.session,
        { mechanism: pkcs11js.CKM_EC_KEY_PAIR_GEN },
        [
          { type: pkcs11js.CKA_EC_PARAMS, value: Buffer.from('06082a8648ce3d030107', 'hex') },
          ...(whose === 'public' ? more : []),
        ] as pkcs11js.Template,
        (whose === 'private' ? more : []) as pkcs11js.Template,
      )
    const [copyable, destroyable] = [0x171, 0x172].map((type) => ({ type, value: true }))
    for (const hidden of [copyable, destroyable]) {
      expect(ckr(() => create([hidden ?? {}]))).toBe('CKR_ATTRIBUTE_TYPE_INVALID')
      for (const whose of ['public', 'private'] as const)
        expect(ckr(() => pair([hidden ?? {}], whose))).toBe('CKR_ATTRIBUTE_TYPE_INVALID')
    }
    const read = (type: number) => () =>
      bench.p11.C_GetAttributeValue(bench.session, bench.key, [{ type: pkcs11js.CKA_CLASS }, { type }])
    expect(ckr(read(0x171))).toBe('CKR_ATTRIBUTE_TYPE_INVALID')
    // What is hidden in the other token is not in this one.
    expect(ckr(read(pkcs11js.CKA_VALUE_LEN))).toBe('CKR_OK')
    expect([ckr(() => create([])), ckr(() => pair([], 'private'))]).toEqual(['CKR_OK', 'CKR_OK'])
    bench.chaos.clear()
    expect([ckr(() => create([copyable ?? {}])), ckr(read(0x171))]).toEqual(['CKR_OK', 'CKR_OK'])
  })

  it('pulls a token, of several one, and brings it back', () => {
    const second = bench.slotOf('second')
    const other = bench.login(second)
    bench.chaos.set('token-absent token=second')
    expect(bench.p11.C_GetSlotList(true)).not.toContainEqual(second)
    expect(bench.p11.C_GetSlotList(true)).toContainEqual(bench.slot)
    expect(bench.p11.C_GetSlotList(false)).toContainEqual(second)
    expect(bench.p11.C_GetSlotInfo(second).flags & 1).toBe(0)
    expect(ckr(() => bench.p11.C_GetTokenInfo(second))).toBe('CKR_TOKEN_NOT_PRESENT')
    expect(ckr(() => bench.p11.C_OpenSession(second, RW_SESSION))).toBe('CKR_TOKEN_NOT_PRESENT')
    expect(ckr(() => bench.p11.C_GenerateRandom(other, Buffer.alloc(8)))).toBe('CKR_DEVICE_REMOVED')
    expect(ckr(bench.random)).toBe('CKR_OK')
    bench.chaos.clear()
    expect(bench.p11.C_GetSlotList(true)).toContainEqual(second)
    expect(bench.p11.C_GetSlotInfo(second).flags & 1).toBe(1)
    expect(ckr(() => bench.p11.C_GenerateRandom(other, Buffer.alloc(8)))).toBe('CKR_SESSION_HANDLE_INVALID')
    expect(ckr(() => bench.login(second))).toBe('CKR_OK')
  })

  it('drops sessions once, with the login or without', () => {
    const second = bench.p11.C_OpenSession(bench.slot, RW_SESSION)
    bench.chaos.set('sessions-drop')
    expect(ckr(bench.random)).toBe('CKR_SESSION_HANDLE_INVALID')
    expect(ckr(() => bench.p11.C_CloseSession(second))).toBe('CKR_SESSION_HANDLE_INVALID')
    bench.session = bench.login(bench.slot)
    expect(times(2, bench.random)).toEqual(['CKR_OK', 'CKR_OK'])
    bench.chaos.set('sessions-drop keep-login')
    expect(ckr(bench.random)).toBe('CKR_SESSION_HANDLE_INVALID')
    bench.session = bench.p11.C_OpenSession(bench.slot, RW_SESSION)
    expect(ckr(() => bench.p11.C_Login(bench.session, CKU_USER, USER_PIN))).toBe('CKR_USER_ALREADY_LOGGED_IN')
    expect(ckr(bench.makeKey)).toBe('CKR_OK')
  })

  it('drops the login until the next one', () => {
    bench.chaos.set('logout-drop')
    expect(bench.p11.C_GetSessionInfo(bench.session).state).toBe(2)
    expect(ckr(bench.makeKey)).toBe('CKR_USER_NOT_LOGGED_IN')
    expect(ckr(() => bench.encrypt(Buffer.alloc(12)))).toBe('CKR_USER_NOT_LOGGED_IN')
    expect(ckr(() => bench.p11.C_Logout(bench.session))).toBe('CKR_USER_NOT_LOGGED_IN')
    expect(ckr(bench.random)).toBe('CKR_OK')
    bench.p11.C_FindObjectsInit(bench.session, [])
    expect(bench.p11.C_FindObjects(bench.session, 10)).toEqual([])
    bench.p11.C_FindObjectsFinal(bench.session)
    expect(ckr(() => bench.p11.C_Login(bench.session, CKU_USER, USER_PIN))).toBe('CKR_OK')
    expect(bench.p11.C_GetSessionInfo(bench.session).state).toBe(3)
    expect(ckr(bench.makeKey)).toBe('CKR_OK')
    expect(ckr(() => bench.encrypt(Buffer.alloc(12)))).not.toBe('CKR_OK')
  })

  it('makes handles stale until they are found again', () => {
    const find = () => {
      bench.p11.C_FindObjectsInit(bench.session, [
        { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
      ])
      bench.p11.C_FindObjects(bench.session, 10)
      bench.p11.C_FindObjectsFinal(bench.session)
    }
    bench.chaos.set('handles-stale')
    expect(ckr(() => bench.encrypt(Buffer.alloc(12)))).toBe('CKR_KEY_HANDLE_INVALID')
    expect(ckr(() => bench.p11.C_DestroyObject(bench.session, bench.key))).toBe('CKR_OBJECT_HANDLE_INVALID')
    const fresh = bench.makeKey()
    const mechanism = { mechanism: CKM_AES_KEY_WRAP_PAD }
    const wrap = () => bench.p11.C_WrapKey(bench.session, mechanism, bench.key, fresh, Buffer.alloc(64))
    expect(ckr(wrap)).toBe('CKR_WRAPPING_KEY_HANDLE_INVALID')
    const unwrap = () => bench.p11.C_UnwrapKey(bench.session, mechanism, bench.key, Buffer.alloc(40), [])
    expect(ckr(unwrap)).toBe('CKR_UNWRAPPING_KEY_HANDLE_INVALID')
    find()
    expect(ckr(wrap)).toBe('CKR_OK')
    expect(ckr(() => bench.encrypt(Buffer.alloc(12)))).toBe('CKR_OK')
  })

  it('shows another maker and model', () => {
    bench.chaos.set('token-info manufacturer="SafeNet, Inc." model="Luna K7"')
    const { manufacturerID, model } = bench.p11.C_GetTokenInfo(bench.slot)
    expect([manufacturerID.trimEnd(), model.trimEnd()]).toEqual(['SafeNet, Inc.', 'Luna K7'])
  })
})
