import { createCipheriv, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { tokenRef } from '../../src/core/find-key.ts'
import type { KeyVersion, MasterKey } from '../../src/core/key.ts'
import { CURVES, ED25519_OID } from '../../src/core/key-pair-spec.ts'
import { HASH_BYTES, type KeySpec, type KeyUsage, keySpecRow, pairOfSpec } from '../../src/core/key-spec.ts'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import { DER_TAG, encodeDer } from '../../src/lib/der.ts'
import { macKeyTemplates, masterPairTemplates, otherName } from '../../src/providers/pkcs11/key-templates.ts'
import { MASTER_KEY_ROLES, type MasterKeyRole } from '../../src/providers/pkcs11/object-names.ts'
import {
  type Attribute,
  attributes,
  CKA,
  importedKeyTemplates,
  masterKeyTemplates,
} from '../../src/providers/pkcs11/templates.ts'
import { sampleKey } from './key-store-samples.ts'
import { inOtherProcess } from './softhsm.ts'

/** Attributes that a copy has otherwise than a master key. */
type Changes = Readonly<Partial<Record<keyof typeof CKA, boolean>>>

/** The values of both objects of a version, which only a test knows. */
export type Material = Readonly<Record<MasterKeyRole, Buffer>>

export function newMaterial(): Material {
  return { enc: randomBytes(32), wrap: randomBytes(32) }
}

/** A key of one version in the token `main`, as a store has it, and what providers call that version. */
export function keyInMain(changes: Partial<MasterKey> = {}): {
  readonly key: MasterKey
  readonly ref: MasterKeyRef
} {
  const key = sampleKey({ token: 'main', ...changes })
  return { key, ref: tokenRef(key, key.versions[0] as KeyVersion) }
}

const CREATE = `
for (const template of input)
  p11.C_CreateObject(session, template.map(({ type, value, hex }) => ({ type, value: hex === undefined ? value : Buffer.from(hex, 'hex') })))
`

/** Brings material of known value into the token labelled `label`, as a vendor's cloning or a ceremony would. */
export function bringIn(label: string, ref: MasterKeyRef, material: Material, changes: Changes = {}): void {
  const templates = MASTER_KEY_ROLES.map((role) => {
    const [template = []] = masterKeyTemplates(ref, role, false)
    const kept = template.filter(({ type }) => type !== CKA.VALUE_LEN).map((one) => changed(one, changes))
    return [...kept, { type: CKA.VALUE, value: material[role] }].map(plain)
  })
  inOtherProcess(label, CREATE, templates)
}

const KEY_WRAP_PAD_IV = Buffer.from('a65959a6', 'hex')
const CKM_AES_KEY_WRAP_PAD = 0x210a

const UNWRAP = `
const wrapping = p11.C_CreateObject(session, [
  ...Object.entries({ 0: 4, 0x100: 0x1f, 1: false, 0x107: true }).map(([type, value]) => ({ type: Number(type), value })),
  { type: 0x11, value: Buffer.from(input.wrapping, 'hex') },
])
for (const { wrapped, template } of input.objects)
  p11.C_UnwrapKey(
    session,
    { mechanism: ${CKM_AES_KEY_WRAP_PAD} },
    wrapping,
    Buffer.from(wrapped, 'hex'),
    template.map(({ type, value, hex }) => ({ type, value: hex === undefined ? value : Buffer.from(hex, 'hex') })),
  )
`

/** As {@link bringIn}, by C_UnwrapKey: of such objects SoftHSM tells no length. */
export function unwrapIn(label: string, ref: MasterKeyRef, material: Material): void {
  const wrapping = randomBytes(32)
  const objects = MASTER_KEY_ROLES.map((role) => {
    const cipher = createCipheriv('id-aes256-wrap-pad', wrapping, KEY_WRAP_PAD_IV)
    const wrapped = Buffer.concat([cipher.update(material[role]), cipher.final()]).toString('hex')
    const [template = []] = importedKeyTemplates(ref, role, false)
    return { wrapped, template: template.map(plain) }
  })
  inOtherProcess(label, UNWRAP, { wrapping: wrapping.toString('hex'), objects })
}

/** The keys of a pair, which only a test knows both of. */
export interface Pair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** A pair of a spec. */
export function newPair(spec: KeySpec): Pair {
  const pair = pairOfSpec(spec)
  if (pair?.kind === 'rsa') return generateKeyPairSync('rsa', { modulusLength: pair.modulusBits })
  if (pair?.kind === 'ec') return generateKeyPairSync('ec', { namedCurve: pair.curve.opensslName })
  return generateKeyPairSync('ed25519')
}

/** The secret of a MAC key of a spec. */
export function newSecret(spec: KeySpec): Buffer {
  const { kind } = keySpecRow(spec)
  return randomBytes(kind.kind === 'hmac' ? kind.lengthBytes : HASH_BYTES.sha256)
}

/** A key pair in the token `main`, as {@link keyInMain} gives it. */
export function pairInMain(spec: KeySpec, usage: KeyUsage, { publicKey }: Pair) {
  const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
  const { versions } = sampleKey()
  return keyInMain({
    spec,
    usage,
    versions: versions.map((version) => ({ ...version, publicKey: spki })),
    primaryVersionId: versions[0]?.versionId ?? '',
  })
}

/** Brings the keys of a pair into the token labelled `label`; `changes` are those of the private one. */
export function bringInPair(
  label: string,
  ref: MasterKeyRef,
  { privateKey, publicKey }: Pair,
  changes: Changes = {},
): void {
  const [generation] = masterPairTemplates(otherName(ref), false)
  const numbers = numbersOf(privateKey)
  const own = attributes(numbersOf(publicKey))
  const told = new Set([CKA.MODULUS_BITS, ...own.map(({ type }) => type)] as number[])
  const publicTemplate = (generation?.publicTemplate ?? []).filter(({ type }) => !told.has(type))
  const privateTemplate = (generation?.privateTemplate ?? []).map((one) => changed(one, changes))
  inOtherProcess(label, CREATE, [
    [...publicTemplate, ...own].map(plain),
    [...privateTemplate, ...attributes(numbers)].map(plain),
  ])
}

/** Brings the secret of a MAC key into the token labelled `label`. */
export function bringInSecret(label: string, ref: MasterKeyRef, secret: Buffer, changes: Changes = {}): void {
  const [template = []] = macKeyTemplates(otherName(ref), false)
  const kept = template.filter(({ type }) => type !== CKA.VALUE_LEN).map((one) => changed(one, changes))
  inOtherProcess(label, CREATE, [[...kept, { type: CKA.VALUE, value: secret }].map(plain)])
}

/** The numbers of a key as attributes of its object. */
function numbersOf(key: KeyObject): Readonly<Record<string, Buffer>> {
  const { n, e, d, p, q, dp, dq, qi, x, y } = key.export({ format: 'jwk' })
  const bytes = (text: string | undefined) => Buffer.from(text ?? '', 'base64url')
  const isPrivate = key.type === 'private'
  if (key.asymmetricKeyType === 'rsa') {
    const open = { MODULUS: bytes(n), PUBLIC_EXPONENT: bytes(e) }
    if (!isPrivate) return open
    const primes = { PRIME_1: bytes(p), PRIME_2: bytes(q) }
    const rest = { EXPONENT_1: bytes(dp), EXPONENT_2: bytes(dq), COEFFICIENT: bytes(qi) }
    return { ...open, PRIVATE_EXPONENT: bytes(d), ...primes, ...rest }
  }
  const curve = Object.values(CURVES).find(
    ({ opensslName }) => opensslName === key.asymmetricKeyDetails?.namedCurve,
  )
  const EC_PARAMS = curve?.oid ?? ED25519_OID
  if (isPrivate) return { EC_PARAMS, VALUE: bytes(d) }
  const point = curve ? Buffer.concat([Buffer.of(4), bytes(x), bytes(y)]) : bytes(x)
  return { EC_PARAMS, EC_POINT: encodeDer({ tag: DER_TAG.octetString, content: [point] }) }
}

function changed(attribute: Attribute, changes: Changes): Attribute {
  const name = (Object.keys(changes) as (keyof typeof CKA)[]).find((one) => CKA[one] === attribute.type)
  const value = name && changes[name]
  return value === undefined ? attribute : { ...attribute, value }
}

function plain({ type, value }: Attribute) {
  return Buffer.isBuffer(value) ? { type, hex: value.toString('hex') } : { type, value }
}
