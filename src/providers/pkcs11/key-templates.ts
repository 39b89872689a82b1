import type { PairAlgorithm } from '../../core/key-pair-spec.ts'
import {
  algorithmsOf,
  HASH_BYTES,
  type KeySpec,
  type KeyUsage,
  MAC_ALGORITHMS,
  pairOfSpec,
} from '../../core/key-spec.ts'
import { invariant } from '../../lib/invariant.ts'
import {
  CKM_ECDH1_DERIVE,
  CKM_ECDSA,
  CKM_EDDSA,
  CKM_ML_DSA,
  CKM_ML_DSA_EXTERNAL_MU,
  CKM_RSA_PKCS,
  CKM_RSA_PKCS_OAEP,
  CKM_RSA_PKCS_PSS,
  CKM_RSA_X_509,
  hmacMechanism,
} from './mechanisms.ts'
import { type MaterialName, type ObjectRole, objectId, objectLabel } from './object-names.ts'
import { PAIR_KINDS, type PairGeneration, pairParameters } from './pair-templates.ts'
import {
  type Attribute,
  allowedMechanisms,
  asImported,
  attributes,
  CKA,
  CKK_GENERIC_SECRET,
  CKO_PRIVATE_KEY,
  CKO_PUBLIC_KEY,
  CKO_SECRET_KEY,
  LIFECYCLE,
  LOCKED,
  MASTER_KEY_READ_BACK,
  type ReadBack,
  SECRET_READ_BACK,
  usageReadBack,
} from './templates.ts'

/** Templates of master keys that are no AES keys, and what every object of ours must read back. */

type Granted = Readonly<Record<string, boolean>>

/** What each object may do. Every usage is said, because SoftHSM grants what a template leaves out. */
const PRIVATE_USAGES = { DECRYPT: false, SIGN: false, SIGN_RECOVER: false, UNWRAP: false, DERIVE: false }
const PUBLIC_USAGES = { ENCRYPT: false, VERIFY: false, VERIFY_RECOVER: false, WRAP: false, DERIVE: false }
const MAC_USAGES = {
  ENCRYPT: false,
  DECRYPT: false,
  WRAP: false,
  UNWRAP: false,
  DERIVE: false,
  VERIFY: false,
  SIGN: true,
}

/** The one thing that a private key may do, and its counterpart, which some tokens want a public key to have. */
const GRANTS: Readonly<Record<KeyUsage, { readonly priv: Granted; readonly pub: Granted }>> = {
  SIGN_VERIFY: { priv: { SIGN: true }, pub: { VERIFY: true } },
  ENCRYPT_DECRYPT: { priv: { DECRYPT: true }, pub: { ENCRYPT: true } },
  KEY_AGREEMENT: { priv: { DERIVE: true }, pub: { DERIVE: true } },
  GENERATE_VERIFY_MAC: { priv: {}, pub: {} },
}

/** A name whose key is none of AES. */
export interface OtherName extends MaterialName {
  readonly spec: KeySpec
  readonly usage: KeyUsage
}

/** @throws InvariantError for the name of a symmetric key. */
export function otherName(name: MaterialName): OtherName {
  const { spec, usage } = name
  invariant(spec !== undefined && usage !== undefined, 'a key that is not symmetric tells its spec and usage')
  return { ...name, spec, usage }
}

/**
 * A key pair that is a master key, at its strictest first; a token that refuses the template is offered the next.
 *
 * @param bound - Whether to bind the private key to its mechanisms: only on a token that proved to honour that.
 * @see PKCS#11 v3.2, "RSA private key objects", "EC private key objects", "Edwards EC private key objects", "ML-DSA private key
 *   objects"
 */
export function masterPairTemplates(name: OtherName, bound: boolean): readonly PairGeneration[] {
  const algorithm = pairOfSpec(name.spec)
  invariant(algorithm, 'the spec is one of key pairs')
  const { mechanism, mechanismName, keyType } = PAIR_KINDS[algorithm.kind]
  const publicTemplate = [
    ...attributes({
      CLASS: CKO_PUBLIC_KEY,
      KEY_TYPE: keyType,
      TOKEN: true,
      PRIVATE: false,
      MODIFIABLE: false,
    }),
    ...attributes(pairParameters(algorithm)),
    ...named(name, 'pub'),
    ...attributes({ ...PUBLIC_USAGES, ...GRANTS[name.usage].pub }),
  ]
  const base = [
    ...attributes({ CLASS: CKO_PRIVATE_KEY, KEY_TYPE: keyType, TOKEN: true, ...LOCKED, MODIFIABLE: false }),
    ...named(name, 'priv'),
    ...attributes({ ...PRIVATE_USAGES, ...GRANTS[name.usage].priv }),
  ]
  const ways = [[...base, ...LIFECYCLE], base]
  const bind = bound ? [allowedMechanisms(pairMechanisms(algorithm.kind, name.usage))] : []
  const privateTemplates = bound ? [...ways.map((way) => [...way, ...bind]), ...ways] : ways
  return privateTemplates.map((privateTemplate) => ({
    mechanism,
    mechanismName,
    publicTemplate,
    privateTemplate,
  }))
}

function pairMechanisms(kind: PairAlgorithm['kind'], usage: KeyUsage): readonly number[] {
  if (kind === 'ed25519') return [CKM_EDDSA]
  if (kind === 'ml-dsa') return [CKM_ML_DSA, CKM_ML_DSA_EXTERNAL_MU]
  if (kind === 'ec') return [usage === 'KEY_AGREEMENT' ? CKM_ECDH1_DERIVE : CKM_ECDSA]
  return usage === 'SIGN_VERIFY' ? [CKM_RSA_PKCS, CKM_RSA_PKCS_PSS] : [CKM_RSA_PKCS_OAEP, CKM_RSA_X_509]
}

/** The secret of a MAC key; as {@link masterPairTemplates}. It makes MACs and verifies none: they are compared here. */
export function macKeyTemplates(name: OtherName, bound: boolean): readonly Attribute[][] {
  const base = [
    ...attributes({ CLASS: CKO_SECRET_KEY, KEY_TYPE: CKK_GENERIC_SECRET, VALUE_LEN: macBytes(name) }),
    ...attributes({ TOKEN: true, ...LOCKED, MODIFIABLE: false }),
    ...named(name, 'mac'),
    ...attributes(MAC_USAGES),
  ]
  const ways = [[...base, ...LIFECYCLE], base]
  if (!bound) return ways
  const bind = allowedMechanisms(macHashes(name).map(hmacMechanism))
  return [...ways.map((way) => [...way, bind]), ...ways]
}

/** The secret of a MAC key that is imported. */
export function importedMacTemplates(name: OtherName, bound: boolean): readonly Attribute[][] {
  return macKeyTemplates(name, bound).map(asImported)
}

/** The private key of a pair that is imported, as {@link masterPairTemplates} has it. */
export function importedPrivateTemplates(name: OtherName, bound: boolean): readonly Attribute[][] {
  return masterPairTemplates(name, bound).map(({ privateTemplate }) => asImported(privateTemplate))
}

/**
 * The public key beside it.
 *
 * @param values - What the key is.
 */
export function importedPublicTemplate(name: OtherName, values: readonly Attribute[]): Attribute[] {
  const [generation] = masterPairTemplates(name, false)
  const told = (generation?.publicTemplate ?? []).filter(({ type }) => type !== CKA.MODULUS_BITS)
  return asImported([...told, ...values])
}

/** A private key that is looked at for the length of one call: it signs, and agrees on points where it is one of a curve. */
export function examinedPrivateTemplate(kind: PairAlgorithm['kind']): Attribute[] {
  return attributes({
    CLASS: CKO_PRIVATE_KEY,
    KEY_TYPE: PAIR_KINDS[kind].keyType,
    TOKEN: false,
    ...LOCKED,
    ...examinedUsages(kind),
  })
}

/** What such a key must say of itself: NSS lets an RSA key that it unwrapped do more than the template says. */
export function examinedReadBack(kind: PairAlgorithm['kind']): readonly ReadBack[] {
  return expecting({ SENSITIVE: true, EXTRACTABLE: false, ...examinedUsages(kind) })
}

function examinedUsages(kind: PairAlgorithm['kind']): Granted {
  return { ...PRIVATE_USAGES, SIGN: true, DERIVE: kind === 'ec' }
}

function macHashes(name: OtherName) {
  return algorithmsOf(name).mac.map((algorithm) => MAC_ALGORITHMS[algorithm].hash)
}

/** As long as what the hash gives (AWS KMS, "Key spec reference", HMAC). */
export function macBytes(name: OtherName): number {
  const [hash] = macHashes(name)
  invariant(hash, 'the spec is one of MAC keys')
  return HASH_BYTES[hash]
}

function named(name: MaterialName, role: ObjectRole): Attribute[] {
  return attributes({ ID: objectId(name, role), LABEL: objectLabel(name, role) })
}

/** A secret that is agreed on, to be read at once. `lengthBytes`: of a scalar of the curve. */
export function agreedSecretTemplate(lengthBytes: number): Attribute[] {
  return attributes({
    CLASS: CKO_SECRET_KEY,
    KEY_TYPE: CKK_GENERIC_SECRET,
    TOKEN: false,
    PRIVATE: true,
    SENSITIVE: false,
    EXTRACTABLE: true,
    VALUE_LEN: lengthBytes,
  })
}

/** What one object of a version must say of itself, one group at a time. */
export function readBackOf(name: MaterialName, role: ObjectRole): readonly (readonly ReadBack[])[] {
  if (role === 'enc' || role === 'wrap') return [...MASTER_KEY_READ_BACK, usageReadBack(role)]
  const other = otherName(name)
  if (role === 'mac') {
    const kind = { CLASS: CKO_SECRET_KEY, KEY_TYPE: CKK_GENERIC_SECRET, VALUE_LEN: macBytes(other) }
    return [...SECRET_READ_BACK, expecting(kind), expecting(MAC_USAGES)]
  }
  const algorithm = pairOfSpec(other.spec)
  invariant(algorithm, 'the spec is one of key pairs')
  const KEY_TYPE = PAIR_KINDS[algorithm.kind].keyType
  const grants = GRANTS[other.usage]
  if (role === 'priv') {
    const usages = { ...PRIVATE_USAGES, ...grants.priv }
    return [...SECRET_READ_BACK, expecting({ CLASS: CKO_PRIVATE_KEY, KEY_TYPE }), expecting(usages)]
  }
  const is = { CLASS: CKO_PUBLIC_KEY, KEY_TYPE, TOKEN: true, MODIFIABLE: false }
  return [expecting(is), expecting({ ...PUBLIC_USAGES, ...grants.pub })]
}

function expecting(values: Readonly<Record<string, number | boolean>>): readonly ReadBack[] {
  return Object.entries(values).map(([name, expected]) => ({ name: name as ReadBack['name'], expected }))
}
