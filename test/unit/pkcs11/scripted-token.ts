import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import type pkcs11js from 'pkcs11js'
import { CKR_NAMES } from '../../../src/providers/pkcs11/ckr.ts'
import { LaneToken } from '../../../src/providers/pkcs11/lane-token.ts'
import { CKM_AES_GCM, CKM_AES_KEY_WRAP_KWP } from '../../../src/providers/pkcs11/mechanisms.ts'
import type { KeyWrap, TokenCapabilities } from '../../../src/providers/pkcs11/settings.ts'
import { type Attribute, CKA } from '../../../src/providers/pkcs11/templates.ts'
import type { ScriptedWrap } from './scripted-wraps.ts'

const TAG_BYTES = 16

const KWP: KeyWrap = { mechanism: CKM_AES_KEY_WRAP_KWP, format: 'rfc5649', readOut: 'explicit' }
/** What a probe finds on a token that takes IVs and has RFC 5649. */
const CAPABILITIES: TokenCapabilities = {
  gcm: { ivSource: 'caller', wrongTagCkr: 'CKR_GENERAL_ERROR', refusalCkrs: ['CKR_GENERAL_ERROR'] },
  gcmWrap: false,
  gcmReadOut: 'explicit',
  keyWrap: KWP,
  keyWraps: [KWP],
  insideSealMode: 'W2',
  insideBytes: { min: 1, max: 1024 },
  dataKeysSensitive: true,
  allowedMechanisms: false,
  waived: [],
  refused: {},
}

type Template = readonly Attribute[]
interface GcmMechanism {
  readonly parameter: { readonly iv: Buffer; readonly aad: Buffer }
}
interface WrapMechanism {
  readonly mechanism: number
  readonly parameter?: unknown
}
interface ScriptedCall {
  readonly name: string
  readonly args: readonly unknown[]
}

/** The value of a key that was never made: any handle names one. */
function keyOf(handle: Buffer): Buffer {
  return createHash('sha256').update(handle).digest()
}

/** What pkcs11js throws. */
function ckr(name: string, method: string): Error {
  const code = Object.entries(CKR_NAMES).find(([, known]) => known === name)?.[0]
  return Object.assign(new Error(name), { name: 'Pkcs11Error', code: Number(code), method })
}

/**
 * A PKCS#11 library of one slot in memory, for what SoftHSM never does: it keeps objects and does real AES-GCM, makes
 * keys that are not what was asked, and fails where it is told to. A wrong tag is CKR_GENERAL_ERROR, as on SoftHSM.
 */
export class ScriptedLibrary {
  readonly calls: ScriptedCall[] = []
  readonly objects = new Map<string, ReadonlyMap<number, Attribute['value']>>()
  /** What a new key says of itself instead of what its template asked. */
  distort: Partial<Record<keyof typeof CKA, number | boolean>> = {}
  /** A session on which an opening failed answers CKR_OPERATION_ACTIVE for ever. */
  poisons = false
  readonly #poisoned = new Set<string>()
  /** CKS number: CKS_RW_USER_FUNCTIONS, unless the login is lost. */
  sessionState = 3
  /** C_Decrypt gives other bytes than were sealed, and takes any tag. */
  openToOtherBytes = false
  /** So many bytes more, or less, than AES-GCM gives come of C_Encrypt. */
  lengthen = 0
  /** Wrap mechanisms by number. Without any, what is wrapped is 40 bytes of nothing. */
  wraps: Readonly<Record<number, ScriptedWrap>> = {}
  /** What C_GenerateKey and C_UnwrapKey answer to a template instead of taking it. */
  refuses: (method: string, template: ReadonlyMap<number, Attribute['value']>) => string | undefined = () =>
    undefined
  /** The IV that AES-GCM uses, given the one that was passed. */
  ivFor: (given: Buffer) => Buffer = (given) => given
  /** What AES-GCM does not look at when it opens; the IV is then always the same. */
  ignores: 'aad' | 'iv' | 'tag' | undefined
  readonly #values = new Map<string, Buffer>()
  #lastPlaintext: Buffer = Buffer.alloc(0)
  /** What the next calls of a method answer, in turn. */
  readonly #faults = new Map<string, string[]>()
  #lastHandle = 0
  #mechanism: GcmMechanism | undefined
  #key: Buffer = Buffer.alloc(32)

  /** The next `times` calls of `method` answer `name`. */
  fail(method: string, name: string, times = 1): void {
    this.failInTurn(
      method,
      Array.from({ length: times }, () => name),
    )
  }

  /** The next calls of `method` answer one of `names` each. */
  failInTurn(method: string, names: readonly string[]): void {
    this.#faults.set(method, [...names])
  }

  names(): string[] {
    return this.calls.map(({ name }) => name)
  }

  count(method: string): number {
    return this.names().filter((name) => name === method).length
  }

  /** A lane that is attached to this library, told that it can do what `capabilities` say. */
  attach(capabilities: Partial<TokenCapabilities> = {}): LaneToken {
    const token = new LaneToken(() => this.p11)
    token.attach({
      module: '/scripted',
      slotHex: '0100000000000000',
      write: true,
      capabilities: { ...CAPABILITIES, ...capabilities },
    })
    this.calls.length = 0
    return token
  }

  readonly p11 = new Proxy(
    {},
    {
      get:
        (_, name: string) =>
        (...args: unknown[]) =>
          this.#serve(name, args),
    },
  ) as unknown as pkcs11js.PKCS11

  #serve(name: string, args: unknown[]): unknown {
    this.calls.push({ name, args })
    const fault = this.#faults.get(name)?.shift()
    if (fault) throw ckr(fault, name)
    const answer = this.#answers[name]
    if (!answer) throw ckr('CKR_FUNCTION_NOT_SUPPORTED', name)
    return answer(...(args as never[]))
  }

  readonly #answers: Readonly<Record<string, (...args: never[]) => unknown>> = {
    C_Initialize: () => undefined,
    C_OpenSession: () => this.#nextHandle(),
    C_CloseSession: () => undefined,
    C_GetTokenInfo: () => ({}),
    C_GetSessionInfo: () => ({ state: this.sessionState }),
    C_Login: () => undefined,
    C_FindObjectsInit: () => undefined,
    C_FindObjects: () => [],
    C_FindObjectsFinal: () => undefined,
    C_GenerateRandom: (_: Buffer, output: Buffer) => randomBytes(output.length).copy(output) && output,
    C_GenerateKey: (_: Buffer, __: object, template: Template) => {
      const handle = this.#makeUnlessRefused('C_GenerateKey', template)
      const lengthBytes = Number(this.#attribute(handle, CKA.VALUE_LEN))
      this.#values.set(handle.toString('hex'), randomBytes(lengthBytes))
      return handle
    },
    C_DestroyObject: (_: Buffer, handle: Buffer) => this.objects.delete(handle.toString('hex')),
    C_GetAttributeValue: (_: Buffer, handle: Buffer, asked: Template) =>
      asked.map(({ type }) => ({
        type,
        value: type === CKA.VALUE ? this.#valueOf(handle) : bytesOf(this.#attribute(handle, type)),
      })),
    C_WrapKey: (_: Buffer, mechanism: WrapMechanism, key: Buffer, secret: Buffer, output: Buffer) => {
      const wrap = this.#wrapOf(mechanism)
      if (!wrap) return output.subarray(0, mechanism.mechanism === CKM_AES_GCM ? 32 + TAG_BYTES : 40)
      const value = this.#values.get(secret.toString('hex')) ?? Buffer.alloc(0)
      return wrap.wrap(keyOf(key), value, mechanism.parameter)
    },
    C_UnwrapKey: (_: Buffer, mechanism: WrapMechanism, key: Buffer, wrapped: Buffer, template: Template) => {
      const value = this.#unwrap(mechanism, key, wrapped)
      const handle = this.#makeUnlessRefused('C_UnwrapKey', template)
      this.#values.set(handle.toString('hex'), value)
      return handle
    },
    C_EncryptInit: (session: Buffer, mechanism: GcmMechanism, key: Buffer) =>
      this.#begin(session, mechanism, key),
    C_DecryptInit: (session: Buffer, mechanism: GcmMechanism, key: Buffer) =>
      this.#begin(session, mechanism, key),
    C_Encrypt: (_: Buffer, plaintext: Buffer) => {
      const parameter = this.#parameter()
      const iv = this.ivFor(parameter.iv)
      const aad = this.ignores === 'aad' ? Buffer.alloc(0) : parameter.aad
      this.#lastPlaintext = Buffer.from(plaintext)
      const cipher = createCipheriv('aes-256-gcm', this.#key, iv).setAAD(aad)
      const sealed = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
      return this.lengthen < 0
        ? sealed.subarray(0, this.lengthen)
        : Buffer.concat([sealed, Buffer.alloc(this.lengthen, 1)])
    },
    C_Decrypt: (session: Buffer, bytes: Buffer) => {
      const parameter = this.#parameter()
      const iv = this.ignores === 'iv' ? this.ivFor(parameter.iv) : parameter.iv
      const aad = this.ignores === 'aad' ? Buffer.alloc(0) : parameter.aad
      if (this.openToOtherBytes) return Buffer.alloc(bytes.length - TAG_BYTES)
      const decipher = createDecipheriv('aes-256-gcm', this.#key, iv).setAAD(aad)
      decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES))
      try {
        const opened = decipher.update(bytes.subarray(0, bytes.length - TAG_BYTES))
        return Buffer.concat([opened, decipher.final()])
      } catch {
        if (this.ignores === 'tag') return Buffer.from(this.#lastPlaintext)
        if (this.poisons) this.#poisoned.add(session.toString('hex'))
        throw ckr('CKR_GENERAL_ERROR', 'C_Decrypt')
      }
    },
  }

  #begin(session: Buffer, mechanism: GcmMechanism, key: Buffer): void {
    if (this.#poisoned.has(session.toString('hex'))) throw ckr('CKR_OPERATION_ACTIVE', 'C_?')
    this.#mechanism = mechanism
    this.#key = keyOf(key)
  }

  #wrapOf({ mechanism }: WrapMechanism): ScriptedWrap | undefined {
    const wrap = this.wraps[mechanism]
    if (!wrap && Object.keys(this.wraps).length > 0) throw ckr('CKR_MECHANISM_INVALID', 'C_WrapKey')
    return wrap
  }

  #unwrap(mechanism: WrapMechanism, key: Buffer, wrapped: Buffer): Buffer {
    const wrap = this.#wrapOf(mechanism)
    try {
      return wrap?.unwrap(keyOf(key), wrapped, mechanism.parameter) ?? Buffer.alloc(0)
    } catch {
      throw ckr('CKR_WRAPPED_KEY_INVALID', 'C_UnwrapKey')
    }
  }

  #makeUnlessRefused(method: string, template: Template): Buffer {
    const refusal = this.refuses(method, new Map(template.map(({ type, value }) => [type, value])))
    if (refusal) throw ckr(refusal, method)
    return this.#make(template)
  }

  #attribute(handle: Buffer, type: number): Attribute['value'] {
    return this.objects.get(handle.toString('hex'))?.get(type)
  }

  #valueOf(handle: Buffer): Buffer {
    if (this.#attribute(handle, CKA.SENSITIVE) === true)
      throw ckr('CKR_ATTRIBUTE_SENSITIVE', 'C_GetAttributeValue')
    return Buffer.from(this.#values.get(handle.toString('hex')) ?? [])
  }

  #parameter(): GcmMechanism['parameter'] {
    if (!this.#mechanism) throw ckr('CKR_OPERATION_NOT_INITIALIZED', 'C_?')
    return this.#mechanism.parameter
  }

  #nextHandle(): Buffer {
    this.#lastHandle += 1
    const handle = Buffer.alloc(8)
    handle.writeUInt32LE(this.#lastHandle)
    return handle
  }

  #make(template: Template): Buffer {
    const handle = this.#nextHandle()
    const asked = template.map(({ type, value }) => [type, value] as const)
    const derived = [CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE, CKA.LOCAL].map(
      (type) => [type, true] as const,
    )
    const distorted = Object.entries(this.distort).map(
      ([name, value]) => [CKA[name as keyof typeof CKA], value] as const,
    )
    this.objects.set(handle.toString('hex'), new Map([...asked, ...derived, ...distorted]))
    return handle
  }
}

function bytesOf(value: Attribute['value']): Buffer {
  if (typeof value === 'boolean') return Buffer.of(value ? 1 : 0)
  if (typeof value !== 'number') return Buffer.from(value ?? '')
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(value)
  return bytes
}
