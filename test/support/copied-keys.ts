import { randomBytes } from 'node:crypto'
import type { MasterKey } from '../../src/core/key.ts'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import {
  type Attribute,
  CKA,
  MASTER_KEY_ROLES,
  type MasterKeyRole,
  masterKeyTemplates,
} from '../../src/providers/pkcs11/templates.ts'
import { sampleKey } from './key-store-samples.ts'
import { inOtherProcess } from './softhsm.ts'

/** The values of both objects of a version, which only a test knows. */
export type Material = Readonly<Record<MasterKeyRole, Buffer>>

export function newMaterial(): Material {
  return { enc: randomBytes(32), wrap: randomBytes(32) }
}

/** A key of one version in the token `main`, as a store has it, and what providers call that version. */
export function keyInMain(): { readonly key: MasterKey; readonly ref: MasterKeyRef } {
  const key = sampleKey({ token: 'main' })
  const ref = {
    token: 'main',
    keyId: key.keyId,
    versionId: key.primaryVersionId,
    versionNumber: 1,
  }
  return { key, ref }
}

const CREATE = `
for (const template of input)
  p11.C_CreateObject(session, template.map(({ type, value, hex }) => ({ type, value: hex === undefined ? value : Buffer.from(hex, 'hex') })))
`

/** Brings material of known value into the token labelled `label`, as a vendor's cloning or a ceremony would. */
export function bringIn(
  label: string,
  ref: MasterKeyRef,
  material: Material,
  changes: Readonly<Partial<Record<keyof typeof CKA, boolean>>> = {},
): void {
  const templates = MASTER_KEY_ROLES.map((role) => {
    const [template = []] = masterKeyTemplates(ref, role, false)
    const kept = template.filter(({ type }) => type !== CKA.VALUE_LEN).map((one) => changed(one, changes))
    return [...kept, { type: CKA.VALUE, value: material[role] }].map(plain)
  })
  inOtherProcess(label, CREATE, templates)
}

function changed(
  attribute: Attribute,
  changes: Readonly<Partial<Record<keyof typeof CKA, boolean>>>,
): Attribute {
  const name = (Object.keys(changes) as (keyof typeof CKA)[]).find((one) => CKA[one] === attribute.type)
  const value = name && changes[name]
  return value === undefined ? attribute : { ...attribute, value }
}

function plain({ type, value }: Attribute) {
  return Buffer.isBuffer(value) ? { type, hex: value.toString('hex') } : { type, value }
}
