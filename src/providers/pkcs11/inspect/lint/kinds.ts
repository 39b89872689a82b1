import type { ObjectAttribute, OurName, TokenObject } from '../../../../core/inspection/object-report.ts'
import { type KeyUsage, keySpecRow } from '../../../../core/key-spec.ts'

/** What kind of object a name of ours is given to. */
export interface Kind {
  /** For people. */
  readonly text: string
  matches(object: TokenObject): boolean
}

/** CKK names as the inventory shows them, by the kinds of core/key-spec.ts; graphene has no names for Edwards curves and ML-DSA. */
const KEY_TYPES: Readonly<Record<string, readonly string[]>> = {
  aes: ['AES'],
  hmac: ['GENERIC_SECRET'],
  rsa: ['RSA'],
  ec: ['EC', 'ECDSA'],
  ed25519: ['EC_EDWARDS', '0x40'],
  'ml-dsa': ['ML_DSA', '0x4a'],
}
const CLASSES: Readonly<Record<OurName['role'], readonly [name: string, text: string]>> = {
  enc: ['SECRET_KEY', 'AES-256 key'],
  wrap: ['SECRET_KEY', 'AES-256 key'],
  mac: ['SECRET_KEY', 'secret of a MAC key'],
  priv: ['PRIVATE_KEY', 'private key'],
  pub: ['PUBLIC_KEY', 'public key'],
}

/** Without the store, a key pair and a MAC key may be of any spec. */
export function kindOf({ role, spec }: OurName): Kind {
  const [className, text] = CLASSES[role]
  const known = role === 'enc' || role === 'wrap' ? 'SYMMETRIC_DEFAULT' : spec
  const kind = known && keySpecRow(known).kind
  const types = kind ? (KEY_TYPES[kind.kind] ?? []) : role === 'mac' ? KEY_TYPES['hmac'] : undefined
  const bits = kind && bitsOf(kind)
  return {
    text: spec === undefined ? text : `${text} of spec ${spec}`,
    matches: (object) =>
      object.class === className &&
      (!types || (object.keyType !== undefined && types.includes(object.keyType))) &&
      // SoftHSM tells a length of 0 for material that it unwrapped.
      (bits === undefined || !object.bits || object.bits === bits),
  }
}

function bitsOf(kind: ReturnType<typeof keySpecRow>['kind']): number | undefined {
  if (kind.kind === 'rsa') return kind.modulusBits
  return kind.kind === 'aes' || kind.kind === 'hmac' ? kind.lengthBytes * 8 : undefined
}

const PAIR_USAGES: Readonly<
  Record<Exclude<KeyUsage, 'GENERATE_VERIFY_MAC'>, Readonly<Record<'priv' | 'pub', ObjectAttribute>>>
> = {
  SIGN_VERIFY: { priv: 'sign', pub: 'verify' },
  ENCRYPT_DECRYPT: { priv: 'decrypt', pub: 'encrypt' },
  KEY_AGREEMENT: { priv: 'derive', pub: 'derive' },
}

/**
 * What an object may do.
 *
 * @param granted - What it may: without the store, a key of a pair may be made for any one of these.
 */
export function usagesOf(
  { role, usage }: OurName,
  granted: readonly ObjectAttribute[],
): readonly ObjectAttribute[] {
  if (role === 'enc') return ['encrypt', 'decrypt']
  if (role === 'wrap') return ['wrap', 'unwrap']
  if (role === 'mac') return ['sign']
  if (usage !== undefined && usage !== 'GENERATE_VERIFY_MAC') return [PAIR_USAGES[usage][role]]
  const ways = Object.values(PAIR_USAGES).map((way) => way[role])
  return [ways.find((way) => granted.includes(way)) ?? ways[0] ?? 'sign']
}
