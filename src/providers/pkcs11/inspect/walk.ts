import { KeyType, ObjectClass, Slot } from 'graphene-pk11'
import {
  OBJECT_ATTRIBUTES,
  type ObjectAttribute,
  type TokenObject,
} from '../../../core/inspection/object-report.ts'
import { faultOf, isCkr } from '../errors.ts'
import { findSlot, type Handle, login, logout } from '../module.ts'
import { CKA } from '../templates.ts'
import { ATTRIBUTE_NAMES } from './attribute-names.ts'
import type { TokenWalk, WalkRequest } from './jobs.ts'
import type { Library } from './library.ts'
import { reportSlot } from './slot-report.ts'

/**
 * How long an object has existed at least when it is read. A service that runs beside makes objects meanwhile, and SoftHSM
 * shows other processes one that has some of its attributes. Milliseconds.
 */
const SETTLE_MS = 1000

/** Attributes that only the inventory asks for. */
const CKA_MODULUS = 0x120
const CKA_MODULUS_BITS = 0x121

const numberOfAttribute = (attribute: ObjectAttribute) => CKA[ATTRIBUTE_NAMES[attribute]]

/** Reads attributes of one object; an attribute that cannot be had is absent. */
type ReadAttributes = (types: readonly number[]) => ReadonlyMap<number, Buffer>

/**
 * Logs in, once, finds every object of the token, and reads what each says of itself. A read-only session: nothing is
 * changed. Key material is never asked for.
 *
 * @throws `TokenRefusal` for a login that could lock the token; what the token answers.
 */
export function walkToken(library: Library, request: WalkRequest, pin: Buffer): TokenWalk {
  const { p11, module } = library
  const { slot, info } = findSlot(p11, request.criteria)
  const session = new Slot(slot, module, p11).open()
  try {
    login(p11, session.handle, info, pin, request.userType)
    const handles: Handle[] = []
    session.find((object) => handles.push(object.handle) <= request.objectsMax)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SETTLE_MS)
    const objects = handles
      .slice(0, request.objectsMax)
      .map((handle) => readObject(attributeReader(library, session.handle, handle)))
      .filter((object) => object !== undefined)
    return {
      library: library.report,
      slot: reportSlot(library, slot),
      objects,
      cut: handles.length > request.objectsMax,
    }
  } finally {
    logout(p11, slot)
  }
}

/** @returns `undefined` for an object that was destroyed since it was found. */
function readObject(read: ReadAttributes): TokenObject | undefined {
  try {
    const common = read([CKA.CLASS, CKA.LABEL, CKA.ID, CKA.KEY_TYPE])
    const flags = read(OBJECT_ATTRIBUTES.map(numberOfAttribute))
    const type = numberOf(common.get(CKA.CLASS))
    const keyType = numberOf(common.get(CKA.KEY_TYPE))
    const bits = type === undefined ? undefined : bitsOf(type, read)
    const label = common.get(CKA.LABEL)?.toString('utf8')
    const id = common.get(CKA.ID)?.toString('hex')
    return {
      ...(type !== undefined && { class: nameOf(ObjectClass, type) }),
      ...(keyType !== undefined && { keyType: nameOf(KeyType, keyType) }),
      ...(bits !== undefined && { bits }),
      ...(label && { label }),
      ...(id && { id }),
      attributes: Object.fromEntries(
        OBJECT_ATTRIBUTES.flatMap((name) => {
          const value = numberOf(flags.get(numberOfAttribute(name)))
          return value === undefined ? [] : [[name, value !== 0]]
        }),
      ),
    }
  } catch (error) {
    if (isCkr(error, 'CKR_OBJECT_HANDLE_INVALID')) return undefined
    throw error
  }
}

function bitsOf(type: number, read: ReadAttributes): number | undefined {
  switch (type) {
    case ObjectClass.SECRET_KEY: {
      const bytes = numberOf(read([CKA.VALUE_LEN]).get(CKA.VALUE_LEN))
      return bytes === undefined ? undefined : bytes * 8
    }
    case ObjectClass.PUBLIC_KEY:
      return numberOf(read([CKA_MODULUS_BITS]).get(CKA_MODULUS_BITS))
    case ObjectClass.PRIVATE_KEY: {
      const modulus = read([CKA_MODULUS]).get(CKA_MODULUS)
      return modulus && modulus.length * 8
    }
    default:
      return undefined
  }
}

/**
 * All at once where the token knows them all; else one by one, because one unknown attribute fails the whole call.
 * graphene's own reader takes an absent flag for a false one.
 */
function attributeReader({ p11 }: Library, session: Handle, object: Handle): ReadAttributes {
  const ask = (types: readonly number[]) =>
    p11.C_GetAttributeValue(
      session,
      object,
      types.map((type) => ({ type })),
    )
  return (types) => {
    try {
      return presentOnes(ask(types))
    } catch (error) {
      requireAboutAttribute(error)
    }
    const found = types.flatMap((type) => {
      try {
        return [...presentOnes(ask([type]))]
      } catch (error) {
        requireAboutAttribute(error)
        return []
      }
    })
    return new Map(found)
  }
}

function presentOnes(attributes: readonly { readonly type: number; readonly value?: unknown }[]) {
  return new Map(
    attributes.flatMap(({ type, value }) =>
      Buffer.isBuffer(value) && value.length > 0 ? [[type, value] as const] : [],
    ),
  )
}

/** What a token answers where it does not know an attribute, keeps it to itself, or lost it; SoftHSM has it both ways. */
const ATTRIBUTE_REFUSALS = new Set([
  'CKR_ATTRIBUTE_TYPE_INVALID',
  'CKR_ATTRIBUTE_SENSITIVE',
  'CKR_ATTRIBUTE_VALUE_INVALID',
  'CKR_GENERAL_ERROR',
  'CKR_FUNCTION_FAILED',
])

function requireAboutAttribute(error: unknown): void {
  if (!(error instanceof Error) || !ATTRIBUTE_REFUSALS.has(faultOf(error).name)) throw error
}

/** A CK_BBOOL or CK_ULONG, little-endian; `undefined` for one of another length, and for CK_UNAVAILABLE_INFORMATION. */
function numberOf(value: Buffer | undefined): number | undefined {
  if (value?.length === 1) return value[0]
  if (value?.length !== 4 && value?.length !== 8) return undefined
  const number = value.readUInt32LE()
  return number === 0xffff_ffff ? undefined : number
}

function nameOf(names: Readonly<Record<number, string>>, number: number): string {
  return names[number] ?? `0x${number.toString(16)}`
}
