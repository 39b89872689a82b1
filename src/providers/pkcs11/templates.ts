import { CKM_AES_CBC_PAD, CKM_AES_GCM, CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD } from './mechanisms.ts'
import {
  type MasterKeyRole,
  type MaterialName,
  type ObjectRole,
  objectId,
  objectLabel,
} from './object-names.ts'
import type { ReadOut } from './settings.ts'

export interface Attribute {
  readonly type: number
  readonly value?: number | boolean | string | Buffer
}

/** PKCS#11 v3.2 attribute and class numbers that we use. */
export const CKA = {
  CLASS: 0x0,
  TOKEN: 0x1,
  PRIVATE: 0x2,
  LABEL: 0x3,
  VALUE: 0x11,
  KEY_TYPE: 0x100,
  ID: 0x102,
  SENSITIVE: 0x103,
  ENCRYPT: 0x104,
  DECRYPT: 0x105,
  WRAP: 0x106,
  UNWRAP: 0x107,
  SIGN: 0x108,
  SIGN_RECOVER: 0x109,
  VERIFY: 0x10a,
  VERIFY_RECOVER: 0x10b,
  DERIVE: 0x10c,
  MODULUS: 0x120,
  MODULUS_BITS: 0x121,
  PUBLIC_EXPONENT: 0x122,
  PRIVATE_EXPONENT: 0x123,
  PRIME_1: 0x124,
  PRIME_2: 0x125,
  EXPONENT_1: 0x126,
  EXPONENT_2: 0x127,
  COEFFICIENT: 0x128,
  VALUE_LEN: 0x161,
  EXTRACTABLE: 0x162,
  LOCAL: 0x163,
  NEVER_EXTRACTABLE: 0x164,
  ALWAYS_SENSITIVE: 0x165,
  MODIFIABLE: 0x170,
  COPYABLE: 0x171,
  DESTROYABLE: 0x172,
  ALLOWED_MECHANISMS: 0x40000600,
  EC_PARAMS: 0x180,
  EC_POINT: 0x181,
  PARAMETER_SET: 0x61d,
} as const
export const CKO_PUBLIC_KEY = 2
export const CKO_PRIVATE_KEY = 3
export const CKO_SECRET_KEY = 4
const CKK_AES = 0x1f
export const CKK_GENERIC_SECRET = 0x10

/** CKO number of an object of that role. */
export function classOf(role: ObjectRole): number {
  if (role === 'priv') return CKO_PRIVATE_KEY
  return role === 'pub' ? CKO_PUBLIC_KEY : CKO_SECRET_KEY
}

export const attributes = (values: Readonly<Record<string, Attribute['value']>>): Attribute[] =>
  Object.entries(values).map(([name, value]) => ({
    type: CKA[name as keyof typeof CKA],
    value: value as boolean,
  }))

/** Every usage is said: SoftHSM grants what a template leaves out. */
const USAGES: Readonly<Record<MasterKeyRole | 'none', Attribute[]>> = {
  enc: usage({ ENCRYPT: true, DECRYPT: true }),
  wrap: usage({ WRAP: true, UNWRAP: true }),
  none: usage({}),
}

function usage(granted: Readonly<Record<string, boolean>>): Attribute[] {
  const none = {
    ENCRYPT: false,
    DECRYPT: false,
    WRAP: false,
    UNWRAP: false,
    SIGN: false,
    VERIFY: false,
    DERIVE: false,
  }
  return attributes({ ...none, ...granted })
}

/** The mechanisms of each role. A wrap object may be asked to do what its token learns with its next firmware. */
const MECHANISMS: Readonly<Record<MasterKeyRole, readonly number[]>> = {
  enc: [CKM_AES_GCM],
  wrap: [CKM_AES_GCM, CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD, CKM_AES_CBC_PAD],
}

/** CKA_ALLOWED_MECHANISMS: an array of CK_MECHANISM_TYPE, which pkcs11js takes as bytes. */
export function allowedMechanisms(mechanisms: readonly number[]): Attribute {
  const numbers = mechanisms.map((mechanism) => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32LE(mechanism)
    return bytes
  })
  return { type: CKA.ALLOWED_MECHANISMS, value: Buffer.concat(numbers) }
}

const SECRET_KEY = { CLASS: CKO_SECRET_KEY }
export const LOCKED = { PRIVATE: true, SENSITIVE: true, EXTRACTABLE: false }
/** Attributes of v2.40 and v3 that some tokens do not know. */
export const LIFECYCLE = attributes({ COPYABLE: false, DESTROYABLE: true })

/**
 * One object of a master key version, at its strictest first; a token that refuses the template is offered the next.
 *
 * @param bound - Whether to bind the key to the mechanisms of its role: only on a token that proved to honour that.
 * @see PKCS#11 v3.1, "Common storage object attributes", "Secret key objects"
 */
export function masterKeyTemplates(
  name: MaterialName,
  role: MasterKeyRole,
  bound: boolean,
): readonly Attribute[][] {
  const base = [
    ...attributes({
      ...SECRET_KEY,
      KEY_TYPE: CKK_AES,
      VALUE_LEN: 32,
      TOKEN: true,
      ...LOCKED,
      MODIFIABLE: false,
    }),
    ...attributes({ ID: objectId(name, role), LABEL: objectLabel(name, role) }),
    ...USAGES[role],
    ...(bound ? [allowedMechanisms(MECHANISMS[role])] : []),
  ]
  return [[...base, ...LIFECYCLE], base]
}

/** The same objects, as they are made from material that is unwrapped: its length is its own. */
export function importedKeyTemplates(
  name: MaterialName,
  role: MasterKeyRole,
  bound: boolean,
): readonly Attribute[][] {
  return masterKeyTemplates(name, role, bound).map(asImported)
}

/** A template of a generation as material is unwrapped with it: its length is its own. */
export function asImported(template: readonly Attribute[]): Attribute[] {
  return [
    ...template.filter(({ type }) => type !== CKA.VALUE_LEN && type !== CKA.MODIFIABLE),
    // Last: SoftHSM takes no other attribute after it.
    ...attributes({ MODIFIABLE: false }),
  ]
}

/** Material that is unwrapped for the length of one call; `usages` say what for. */
export function unwrappedKeyTemplate(role: MasterKeyRole): Attribute[] {
  return [...attributes({ ...SECRET_KEY, KEY_TYPE: CKK_AES, TOKEN: false, ...LOCKED }), ...USAGES[role]]
}

/**
 * Material that is unwrapped to have its length told, for the length of one call: of any length, and wrapped again at most, or
 * used for a MAC.
 *
 * @param sensitive - As in {@link dataKeyTemplate}.
 */
export function measuredKeyTemplate(sensitive: boolean): Attribute[] {
  return [
    ...attributes({ ...SECRET_KEY, KEY_TYPE: CKK_GENERIC_SECRET, TOKEN: false }),
    ...attributes({ PRIVATE: true, SENSITIVE: sensitive, EXTRACTABLE: true }),
    ...usage({ SIGN: true }),
  ]
}

/** One attribute and what it must be. */
export interface ReadBack {
  readonly name: keyof typeof CKA
  readonly expected: number | boolean
}

/** What every secret and private key of ours must say of itself. Asked one group at a time: one unknown attribute fails its group. */
export const SECRET_READ_BACK: readonly (readonly ReadBack[])[] = [
  [
    { name: 'SENSITIVE', expected: true },
    { name: 'EXTRACTABLE', expected: false },
    { name: 'PRIVATE', expected: true },
    { name: 'TOKEN', expected: true },
    { name: 'MODIFIABLE', expected: false },
  ],
  [
    { name: 'ALWAYS_SENSITIVE', expected: true },
    { name: 'NEVER_EXTRACTABLE', expected: true },
    { name: 'LOCAL', expected: true },
  ],
]

/** What a master key that is an AES key must say of itself. */
export const MASTER_KEY_READ_BACK: readonly (readonly ReadBack[])[] = [
  ...SECRET_READ_BACK,
  [
    { name: 'CLASS', expected: CKO_SECRET_KEY },
    { name: 'KEY_TYPE', expected: CKK_AES },
    { name: 'VALUE_LEN', expected: 32 },
  ],
]

/** Usages of one role as they must read back. */
export function usageReadBack(role: MasterKeyRole): readonly ReadBack[] {
  return (['ENCRYPT', 'DECRYPT', 'WRAP', 'UNWRAP'] as const).map((name) => ({
    name,
    expected: role === 'enc' ? name.endsWith('CRYPT') : name.endsWith('WRAP'),
  }))
}

/** AES key of a session, for probes and health; `bound` as in {@link masterKeyTemplates}. */
export function sessionKeyTemplate(role: MasterKeyRole, bound: boolean): Attribute[] {
  return [
    ...attributes({ ...SECRET_KEY, KEY_TYPE: CKK_AES, VALUE_LEN: 32, TOKEN: false, ...LOCKED }),
    ...USAGES[role],
    ...(bound ? [allowedMechanisms(MECHANISMS[role])] : []),
  ]
}

/**
 * A data key that lives in the token for the length of one call. `lengthBytes` 1 to 1024.
 *
 * @param sensitive - False on tokens that keep no extractable key sensitive (nShield, Proteccio).
 */
export function dataKeyTemplate(lengthBytes: number, sensitive: boolean): Attribute[] {
  return [
    ...attributes({ ...SECRET_KEY, KEY_TYPE: CKK_GENERIC_SECRET, VALUE_LEN: lengthBytes, TOKEN: false }),
    ...attributes({ PRIVATE: true, SENSITIVE: sensitive, EXTRACTABLE: true }),
    ...USAGES.none,
  ]
}

const UNWRAPPED = attributes({ ...SECRET_KEY, KEY_TYPE: CKK_GENERIC_SECRET, TOKEN: false, PRIVATE: true })
const READABLE = attributes({ SENSITIVE: false, EXTRACTABLE: true })

/** A data key that is unwrapped to be read out next. */
export function readOutTemplate(readOut: ReadOut, lengthBytes: number): Attribute[] {
  return [
    ...UNWRAPPED,
    ...(readOut.startsWith('explicit') ? READABLE : []),
    ...(readOut.endsWith('WithLength') ? attributes({ VALUE_LEN: lengthBytes }) : []),
  ]
}
