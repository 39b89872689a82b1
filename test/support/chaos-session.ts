import { spawnSync } from 'node:child_process'
import pkcs11js from 'pkcs11js'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { faultOf } from '../../src/providers/pkcs11/errors.ts'
import { type Chaos, makeChaos } from './p11chaos.ts'
import { makeSoftHsm, type SoftHsm, USER_PIN } from './softhsm.ts'

export type Handle = Buffer
export const CKM_AES_KEY_WRAP_PAD = 0x210a
export const RW_SESSION = 6
export const CKU_USER = 1
const CKM_AES_KEY_GEN = 0x1080
const CKM_AES_GCM = 0x1087
export const AAD = Buffer.from('aad')
export const TEXT = Buffer.from('0123456789abcdef0123456789abcdef')

/** pkcs11js on p11chaos on a SoftHSM with the tokens `first` and `second`, both with the same PIN. */
export interface ChaosBench {
  readonly p11: pkcs11js.PKCS11
  readonly softHsm: SoftHsm
  readonly chaos: Chaos
  /** Of the token `first`. */
  readonly slot: Handle
  /** Logged in to `first`, a new one in each test. */
  session: Handle
  /** An AES session key that may do everything. */
  readonly key: Handle
  readonly slotOf: (label: string) => Handle
  readonly login: (slot: Handle) => Handle
  readonly makeKey: () => Handle
  readonly random: () => Buffer
  /** Encrypts {@link TEXT} with AES-GCM. */
  readonly encrypt: (iv: Buffer, room?: number) => Buffer
  readonly decrypt: (iv: Buffer, bytes: Buffer, ivBits?: number) => Buffer
}

/** A bench for the suite around it. Each test begins without rules, in a session of its own. */
export function chaosBench(): ChaosBench {
  const p11 = new pkcs11js.PKCS11()
  const bench = { p11, ...callsOn(p11, () => bench) } as {
    -readonly [Name in keyof ChaosBench]: ChaosBench[Name]
  }
  beforeAll(() => {
    bench.softHsm = makeSoftHsm()
    bench.softHsm.initToken('first')
    bench.softHsm.initToken('second')
    bench.chaos = makeChaos(bench.softHsm)
    p11.load(bench.chaos.module)
    p11.C_Initialize({ flags: 2 })
    bench.slot = bench.slotOf('first')
  })
  beforeEach(() => {
    bench.session = bench.login(bench.slot)
    bench.key = bench.makeKey()
  })
  afterEach(() => {
    bench.chaos.clear()
    for (const slot of p11.C_GetSlotList(true)) p11.C_CloseAllSessions(slot)
    bench.chaos.trace()
  })
  afterAll(() => {
    p11.C_Finalize()
    p11.close()
    bench.softHsm.remove()
  })
  return bench
}

function callsOn(p11: pkcs11js.PKCS11, bench: () => ChaosBench) {
  return {
    slotOf: (label: string): Handle => {
      const slot = p11.C_GetSlotList(true).find((one) => p11.C_GetTokenInfo(one).label.trimEnd() === label)
      if (!slot) throw new Error(`no token ${label}`)
      return slot
    },
    login: (slot: Handle): Handle => {
      const session = p11.C_OpenSession(slot, RW_SESSION)
      p11.C_Login(session, CKU_USER, USER_PIN)
      return session
    },
    makeKey: (): Handle =>
      p11.C_GenerateKey(bench().session, { mechanism: CKM_AES_KEY_GEN }, [
        { type: pkcs11js.CKA_VALUE_LEN, value: 32 },
        { type: pkcs11js.CKA_TOKEN, value: false },
        ...KEY_POWERS.map((type) => ({ type, value: true })),
      ]),
    random: (): Buffer => p11.C_GenerateRandom(bench().session, Buffer.alloc(8)),
    encrypt: (iv: Buffer, room = 96): Buffer => {
      p11.C_EncryptInit(bench().session, gcm(iv), bench().key)
      return p11.C_Encrypt(bench().session, TEXT, Buffer.alloc(room))
    },
    decrypt: (iv: Buffer, bytes: Buffer, ivBits?: number): Buffer => {
      p11.C_DecryptInit(bench().session, gcm(iv, ivBits), bench().key)
      return p11.C_Decrypt(bench().session, bytes, Buffer.alloc(96))
    },
  }
}

const KEY_POWERS = [
  pkcs11js.CKA_PRIVATE,
  pkcs11js.CKA_SENSITIVE,
  pkcs11js.CKA_EXTRACTABLE,
  pkcs11js.CKA_ENCRYPT,
  pkcs11js.CKA_DECRYPT,
  pkcs11js.CKA_WRAP,
  pkcs11js.CKA_UNWRAP,
]

/** CKM_AES_GCM with {@link AAD}. */
export function gcm(iv: Buffer, ivBits = iv.length * 8) {
  const parameter = { type: pkcs11js.CK_PARAMS_AES_GCM_v240, iv, aad: AAD, ivBits, tagBits: 128 }
  return { mechanism: CKM_AES_GCM, parameter }
}

/** Name of what `call` answers. */
export function ckr(call: () => unknown): string {
  try {
    call()
    return 'CKR_OK'
  } catch (error) {
    return faultOf(error as Error).name
  }
}

/** What so many calls answer. */
export function times(count: number, call: () => unknown): string[] {
  return Array.from({ length: count }, () => ckr(call))
}

const DRAW = `
const { PKCS11 } = require('pkcs11js')
const p11 = new PKCS11()
p11.load(process.argv[1])
p11.C_Initialize()
const session = p11.C_OpenSession(p11.C_GetSlotList(true)[0], 6)
try { p11.C_Login(session, 1, process.env.PIN) } catch (error) { console.log(error.code) }
p11.C_GenerateRandom(session, Buffer.alloc(8))
console.log('drawn')
`

/** Logs in and draws random bytes in a process of its own, which prints the number of a failed login, and `drawn`. */
export function drawElsewhere(chaos: Chaos, pin = USER_PIN, env: Readonly<Record<string, string>> = {}) {
  return spawnSync(process.execPath, ['-e', DRAW, chaos.module], {
    encoding: 'utf8',
    env: { ...process.env, ...env, PIN: pin, NODE_OPTIONS: '' },
  })
}
