import type {
  FindingCode,
  ObjectAttribute,
  OurName,
  Remark,
  TokenObject,
} from '../../../../core/inspection/object-report.ts'
import { kindOf, usagesOf } from './kinds.ts'
import { nameOf } from './names.ts'

/** One attribute of a master key's object and what it must be. */
interface AttributeRule {
  readonly attribute: ObjectAttribute
  readonly expected: boolean
  readonly code: FindingCode
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly next: string
}

const REPLACE =
  'Take the key out of use: re-encrypt what it protects under a new key, then schedule its deletion.'
const PROVENANCE =
  'Make sure that you know how it came into the token (an import, a restore); make new keys with p11kms.'
const HARMLESS =
  'Nothing has to be done at once; keys that p11kms makes on this token today are stricter where it allows.'

/** What the template of a master key asks for and creation reads back; a token may be older than that, or changed by others. */
const MASTER_KEY_RULES: readonly AttributeRule[] = [
  {
    attribute: 'extractable',
    expected: false,
    code: 'EXTRACTABLE',
    severity: 'error',
    message: 'can be extracted from the token',
    next: REPLACE,
  },
  {
    attribute: 'sensitive',
    expected: true,
    code: 'NOT_SENSITIVE',
    severity: 'error',
    message: 'can be read out in the clear',
    next: REPLACE,
  },
  {
    attribute: 'private',
    expected: true,
    code: 'NOT_PRIVATE',
    severity: 'error',
    message: 'can be used without a login',
    next: REPLACE,
  },
  {
    attribute: 'alwaysSensitive',
    expected: true,
    code: 'NOT_ALWAYS_SENSITIVE',
    severity: 'warning',
    message: 'could be read out at some time',
    next: PROVENANCE,
  },
  {
    attribute: 'neverExtractable',
    expected: true,
    code: 'NOT_NEVER_EXTRACTABLE',
    severity: 'warning',
    message: 'could be extracted at some time',
    next: PROVENANCE,
  },
  {
    attribute: 'local',
    expected: true,
    code: 'NOT_LOCAL',
    severity: 'warning',
    message: 'was not made inside this token',
    next: PROVENANCE,
  },
  {
    attribute: 'modifiable',
    expected: false,
    code: 'MODIFIABLE',
    severity: 'warning',
    message: 'can have its attributes changed',
    next: HARMLESS,
  },
  {
    attribute: 'copyable',
    expected: false,
    code: 'COPYABLE',
    severity: 'warning',
    message: 'can be copied inside the token',
    next: HARMLESS,
  },
]

/**
 * What the attributes of a master key's object get wrong.
 *
 * @param waived - Attributes that this token gets wrong by nature.
 */
export function lintMasterKey(
  object: TokenObject,
  ours: OurName,
  waived: ReadonlySet<ObjectAttribute>,
): Remark[] {
  const name = nameOf(object)
  const broken = MASTER_KEY_RULES.filter(
    ({ attribute, expected, severity }) =>
      isAsked(ours, attribute) &&
      !waived.has(attribute) &&
      breaks(object.attributes[attribute], expected, severity),
  ).map(({ code, severity, message, next }) => ({ severity, code, message: `${name} ${message}.`, next }))
  return [
    ...(ours.imported ? [imported(name)] : []),
    ...broken,
    ...lintKind(object, name, ours),
    ...lintUsage(object, name, ours),
  ]
}

/** In place of what {@link MASTER_KEY_RULES} would say of where it comes from. */
function imported(name: string): Remark {
  return {
    severity: 'info',
    code: 'IMPORTED',
    message: `${name} was imported by the owner of its key.`,
    next: 'Whoever brought it may have a copy: that is what importing is for.',
  }
}

/** A public key is nobody's secret. */
const ASKED_OF_PUBLIC_KEYS: readonly ObjectAttribute[] = ['modifiable', 'local']
/** What imported material cannot be. */
const NOT_ASKED_OF_IMPORTED: readonly ObjectAttribute[] = ['local', 'alwaysSensitive', 'neverExtractable']

function isAsked({ role, imported: brought }: OurName, attribute: ObjectAttribute): boolean {
  if (brought && NOT_ASKED_OF_IMPORTED.includes(attribute)) return false
  return role !== 'pub' || ASKED_OF_PUBLIC_KEYS.includes(attribute)
}

/** What a token does not tell is good only where little depends on it. */
function breaks(value: boolean | undefined, expected: boolean, severity: 'error' | 'warning'): boolean {
  return value === undefined ? severity === 'error' : value !== expected
}

function lintKind(object: TokenObject, name: string, ours: OurName): Remark[] {
  const { class: kind, keyType, bits } = object
  const expected = kindOf(ours)
  if (expected.matches(object)) return []
  const is = [bits === undefined ? '' : `${bits} bits`, keyType, kind].filter(Boolean).join(' ')
  return [
    {
      severity: 'error',
      code: 'WRONG_KIND',
      message: `${name} has the name of a master key, but is no ${expected.text} (${is || 'it does not tell'}).`,
      next: 'Find out who made it; p11kms makes no such object. Remove it with the tools of the token.',
    },
  ]
}

const USAGES = ['encrypt', 'decrypt', 'wrap', 'unwrap', 'sign', 'verify', 'derive'] as const

function lintUsage(object: TokenObject, name: string, ours: OurName): Remark[] {
  const { attributes } = object
  if (unwrapsAndDecrypts(object)) {
    const message = `${name} can both unwrap and decrypt: whoever may use it reads what the other wraps.`
    return [{ severity: 'error', code: 'UNWRAPS_AND_DECRYPTS', message, next: REPLACE }]
  }
  const granted = USAGES.filter((usage) => attributes[usage])
  const allowed = usagesOf(ours, granted)
  const missing = allowed.filter((usage) => attributes[usage] === false)
  const extra = granted.filter((usage) => !allowed.includes(usage))
  if (missing.length === 0 && extra.length === 0) return []
  const may = granted.length === 0 ? 'nothing' : granted.join(', ')
  return [
    {
      severity: missing.length > 0 ? 'error' : 'warning',
      code: 'WRONG_USAGE',
      message: `${name} may ${may}; an object of role ${ours.role} may ${allowed.join(' and ')}, nothing else.`,
      next:
        missing.length > 0
          ? 'Requests that need it fail: restore the object from a backup of the token.'
          : PROVENANCE,
    },
  ]
}

export function unwrapsAndDecrypts({ attributes }: TokenObject): boolean {
  return attributes.unwrap === true && attributes.decrypt === true
}
