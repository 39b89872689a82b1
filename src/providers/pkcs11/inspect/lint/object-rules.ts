import type {
  FindingCode,
  ObjectAttribute,
  Remark,
  TokenObject,
} from '../../../../core/inspection/object-report.ts'
import { isImportPairName } from '../../import-pair-objects.ts'
import { lintMasterKey, unwrapsAndDecrypts } from './attribute-rules.ts'
import { type Identity, oursOf } from './identify.ts'
import type { KnownKeys } from './known-versions.ts'
import { nameOf } from './names.ts'

/** What is wrong with one object, seen by itself. */
export function lintObject(
  object: TokenObject,
  identity: Identity,
  known: KnownKeys | undefined,
  waived: ReadonlySet<ObjectAttribute>,
): Remark[] {
  if (object.class === undefined) return [UNREADABLE]
  const ours = oursOf(identity)
  if (!ours) return isImportPair(object) ? lintImportPair(object) : lintForeign(object)
  return [
    ...lintMasterKey(object, ours, waived),
    ...lintIdentity(object, identity, known),
    ...(identity.byId?.state === 'Deleted' ? [ofDeletedKey(object)] : []),
  ]
}

/** SoftHSM may keep such an object of a creation that was cut off. */
const UNREADABLE: Remark = {
  severity: 'info',
  code: 'UNREADABLE_OBJECT',
  message: 'An object tells nothing of itself, not even its class.',
  next: 'A SoftHSM leaves one of a creation that was cut off; it holds no key and is in nobody’s way.',
}

function isImportPair({ class: kind, label, id }: TokenObject): boolean {
  return kind === 'PRIVATE_KEY' && isImportPairName(label, id)
}

/** What material is wrapped for; whoever reads it out reads that material. */
function lintImportPair(object: TokenObject): Remark[] {
  const name = nameOf(object)
  const next = 'Import no material for it: destroy it, and find out who changed the token.'
  const { extractable, sensitive } = object.attributes
  return [
    ...(extractable === false
      ? []
      : [error('EXTRACTABLE', `${name} can be extracted from the token.`, next)]),
    ...(sensitive === true ? [] : [error('NOT_SENSITIVE', `${name} can be read out in the clear.`, next)]),
    {
      severity: 'info',
      code: 'IMPORT_PAIR',
      message: `${name} is the private key of an import token.`,
      next: 'It is destroyed when the token ends, 24 hours after it was asked for.',
    },
  ]
}

function error(code: FindingCode, message: string, next: string): Remark {
  return { severity: 'error', code, message, next }
}

/** Objects of other programs are named; what they make of their keys is their matter. */
function lintForeign(object: TokenObject): Remark[] {
  const name = nameOf(object)
  const unknown: Remark = {
    severity: 'warning',
    code: 'UNKNOWN_OBJECT',
    message: `${name} was not made by p11kms.`,
    next: 'Give p11kms a token or a partition of its own: whoever shares it can use, and destroy, its keys.',
  }
  if (object.class !== 'SECRET_KEY' && object.class !== 'PRIVATE_KEY') return [unknown]
  return [unknown, ...lintForeignKey(object, name)]
}

function lintForeignKey(object: TokenObject, name: string): Remark[] {
  const next = 'It is not a key of p11kms: ask whoever made it whether that is meant.'
  const { attributes } = object
  const told: Remark[] = []
  if (attributes.extractable)
    told.push({
      severity: 'info',
      code: 'EXTRACTABLE',
      message: `${name} can be extracted from the token.`,
      next,
    })
  if (attributes.sensitive === false)
    told.push({
      severity: 'info',
      code: 'NOT_SENSITIVE',
      message: `${name} can be read out in the clear.`,
      next,
    })
  if (unwrapsAndDecrypts(object))
    told.push({
      severity: 'info',
      code: 'UNWRAPS_AND_DECRYPTS',
      message: `${name} can both unwrap and decrypt.`,
      next,
    })
  return told
}

function lintIdentity(object: TokenObject, identity: Identity, known: KnownKeys | undefined): Remark[] {
  const { byId, labelOfId } = identity
  if (byId && labelOfId !== undefined && object.label !== labelOfId) {
    const message = `The CKA_ID ${object.id} is that of ${labelOfId}, the label is ${quoted(object.label)}.`
    const next =
      'p11kms goes by the CKA_ID. Find out who changed the label, and prove that the key still opens what it sealed.'
    return [{ severity: 'error', code: 'LABEL_AND_ID_DISAGREE', message, next }]
  }
  if (byId || !known) return []
  if (identity.byLabel?.versionId !== undefined) {
    const message = `${nameOf(object)} has the label of a version in the store, but not its CKA_ID.`
    const next =
      'p11kms goes by the CKA_ID and does not use this object. Find out who made it before you remove it.'
    return [{ severity: 'error', code: 'LABEL_AND_ID_DISAGREE', message, next }]
  }
  return [
    {
      severity: 'warning',
      code: 'OBJECT_WITHOUT_ROW',
      message: `${nameOf(object)} belongs to no key version in the store.`,
      next: 'Do not remove it before you know: another p11kms may use this token, or a newer backup of the store may have its row.',
    },
  ]
}

function ofDeletedKey(object: TokenObject): Remark {
  return {
    severity: 'warning',
    code: 'OBJECT_OF_DELETED_KEY',
    message: `${nameOf(object)} is still there, though its key was deleted.`,
    next: 'Restoring a token from a backup brings such objects back: remove it with the tools of the token.',
  }
}

function quoted(label: string | undefined): string {
  return label === undefined ? 'absent' : `"${label}"`
}
