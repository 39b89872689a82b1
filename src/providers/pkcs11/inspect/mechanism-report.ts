import { MechanismEnum, MechanismFlag } from 'graphene-pk11'
import type { MechanismReport } from '../../../core/inspection/token-report.ts'
import { MAC_ALGORITHMS } from '../../../core/key-spec.ts'
import {
  CKM_AES_CBC_PAD,
  CKM_AES_GCM,
  CKM_AES_KEY_GEN,
  CKM_AES_KEY_WRAP_KWP,
  CKM_AES_KEY_WRAP_PAD,
  CKM_EC_EDWARDS_KEY_PAIR_GEN,
  CKM_EC_KEY_PAIR_GEN,
  CKM_ECDH1_DERIVE,
  CKM_ECDSA,
  CKM_EDDSA,
  CKM_GENERIC_SECRET_KEY_GEN,
  CKM_ML_DSA,
  CKM_ML_DSA_EXTERNAL_MU,
  CKM_ML_DSA_KEY_PAIR_GEN,
  CKM_RSA_PKCS,
  CKM_RSA_PKCS_KEY_PAIR_GEN,
  CKM_RSA_PKCS_OAEP,
  CKM_RSA_PKCS_PSS,
  CKM_RSA_X_509,
  hmacMechanism,
} from '../mechanisms.ts'
import type { Handle } from '../module.ts'
import type { Library } from './library.ts'

const MECHANISMS_MAX = 4096

const FLAG_WORDS: readonly (readonly [flag: number, word: string])[] = [
  [MechanismFlag.HW, 'hardware'],
  [MechanismFlag.ENCRYPT, 'encrypt'],
  [MechanismFlag.DECRYPT, 'decrypt'],
  [MechanismFlag.DIGEST, 'digest'],
  [MechanismFlag.SIGN, 'sign'],
  [MechanismFlag.VERIFY, 'verify'],
  [MechanismFlag.GENERATE, 'generate'],
  [MechanismFlag.GENERATE_KEY_PAIR, 'generate-key-pair'],
  [MechanismFlag.WRAP, 'wrap'],
  [MechanismFlag.UNWRAP, 'unwrap'],
  [MechanismFlag.DERIVE, 'derive'],
]

const MAKES_PAIRS = 'makes key pairs, and data key pairs inside the token'
const SIGNS = 'signs'
const WRAPS_DATA_KEYS = 'wraps data keys inside the token'
const USED_FOR: Readonly<Record<number, string>> = {
  [CKM_AES_GCM]: 'seals data keys',
  [CKM_AES_KEY_GEN]: 'makes master keys',
  [CKM_GENERIC_SECRET_KEY_GEN]: 'makes keys for MACs, and data keys inside the token',
  [CKM_RSA_PKCS_KEY_PAIR_GEN]: MAKES_PAIRS,
  [CKM_EC_KEY_PAIR_GEN]: MAKES_PAIRS,
  [CKM_EC_EDWARDS_KEY_PAIR_GEN]: MAKES_PAIRS,
  [CKM_ML_DSA_KEY_PAIR_GEN]: 'makes key pairs',
  [CKM_RSA_PKCS]: SIGNS,
  [CKM_RSA_PKCS_PSS]: SIGNS,
  [CKM_ECDSA]: SIGNS,
  [CKM_EDDSA]: SIGNS,
  [CKM_ML_DSA]: SIGNS,
  [CKM_ML_DSA_EXTERNAL_MU]: 'signs representatives of messages',
  [CKM_RSA_PKCS_OAEP]: 'decrypts, and unwraps imported material',
  [CKM_RSA_X_509]: 'decrypts, and unwraps imported material, where the token does no OAEP with the hash',
  [CKM_ECDH1_DERIVE]: 'derives shared secrets',
  ...Object.fromEntries(Object.values(MAC_ALGORITHMS).map(({ hash }) => [hmacMechanism(hash), 'makes MACs'])),
  [CKM_AES_KEY_WRAP_KWP]: WRAPS_DATA_KEYS,
  [CKM_AES_KEY_WRAP_PAD]: WRAPS_DATA_KEYS,
  [CKM_AES_CBC_PAD]: `${WRAPS_DATA_KEYS}, where nothing better works`,
}

/** Names that graphene does not know. @see PKCS#11 v3.2, header file `pkcs11t.h` */
const NAMES: Readonly<Record<number, string>> = {
  [CKM_AES_KEY_WRAP_KWP]: 'CKM_AES_KEY_WRAP_KWP',
  [CKM_EC_EDWARDS_KEY_PAIR_GEN]: 'CKM_EC_EDWARDS_KEY_PAIR_GEN',
  [CKM_ML_DSA_KEY_PAIR_GEN]: 'CKM_ML_DSA_KEY_PAIR_GEN',
  [CKM_ML_DSA]: 'CKM_ML_DSA',
  [CKM_ML_DSA_EXTERNAL_MU]: 'CKM_ML_DSA_EXTERNAL_MU',
  0x1056: 'CKM_EC_MONTGOMERY_KEY_PAIR_GEN',
  0x1057: 'CKM_EDDSA',
}

/** What the library lists for a token, by name. Lists lie in both directions: only a trial tells what works. */
export function reportMechanisms({ p11 }: Library, slot: Handle): MechanismReport[] {
  return p11
    .C_GetMechanismList(slot)
    .slice(0, MECHANISMS_MAX)
    .map((number) => {
      const { minKeySize, maxKeySize, flags } = p11.C_GetMechanismInfo(slot, number)
      const usedFor = USED_FOR[number]
      return {
        name: nameOf(number),
        number,
        keySize: { min: minKeySize, max: maxKeySize },
        flags: FLAG_WORDS.filter(([flag]) => (flags & flag) !== 0).map(([, word]) => word),
        ...(usedFor && { usedFor }),
      }
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function nameOf(number: number): string {
  const known: string | undefined = MechanismEnum[number]
  return NAMES[number] ?? (known === undefined ? `0x${number.toString(16)}` : `CKM_${known}`)
}
