import type pkcs11js from 'pkcs11js'
import { describe, expect, it } from 'vitest'
import { toFault } from '../../../src/providers/pkcs11/errors.ts'
import { destroyFound } from '../../../src/providers/pkcs11/find-objects.ts'
import { SEAL_MODE_NUMBERS } from '../../../src/providers/pkcs11/inside-mode.ts'
import { encodeWrappedPayload } from '../../../src/providers/pkcs11/key-wrap.ts'
import type { LaneToken } from '../../../src/providers/pkcs11/lane-token.ts'
import { jsonPart, type Operation, parseJsonPart } from '../../../src/providers/pkcs11/lanes/messages.ts'
import { CKM_AES_CBC_PAD, CKM_AES_KEY_WRAP_PAD } from '../../../src/providers/pkcs11/mechanisms.ts'
import { login } from '../../../src/providers/pkcs11/module.ts'
import type { FoundMaterial } from '../../../src/providers/pkcs11/procedures/find-master-key.ts'
import { PROCEDURES } from '../../../src/providers/pkcs11/procedures/table.ts'
import type { KeyWrap, TokenCapabilities } from '../../../src/providers/pkcs11/settings.ts'
import { type Attribute, CKA } from '../../../src/providers/pkcs11/templates.ts'
import { ScriptedLibrary } from './scripted-token.ts'

const NAME = jsonPart({ keyId: 'k', versionId: 'v', versionNumber: 1 })
const ENC = Buffer.from('0e00000000000000', 'hex')
const WRAP = Buffer.from('0f00000000000000', 'hex')
const AAD = Buffer.from('aad')
const W2 = Buffer.of(SEAL_MODE_NUMBERS.W2)

/** Runs a procedure the way a lane does. */
function perform(token: LaneToken, operation: Operation, number: number, parts: readonly Buffer[]) {
  const { run, repeatable } = PROCEDURES[operation]
  return token.run(() => run(token, number, parts), repeatable)
}

/** What the main thread would be told. */
function faultOf(work: () => unknown) {
  try {
    work()
  } catch (error) {
    return toFault(error)
  }
  throw new Error('It succeeded.')
}

describe('a new master key', () => {
  it('is two objects, whose handles are the answer', () => {
    const library = new ScriptedLibrary()
    const [found] = perform(library.attach(), 'createMasterKey', 0, [NAME])
    const { objects } = parseJsonPart(found) as FoundMaterial
    expect(objects.map(({ role }) => role)).toEqual(['enc', 'wrap'])
    expect(objects.flatMap(({ handles }) => handles)).toEqual([...library.objects.keys()])
    expect(library.objects.size).toBe(2)
  })

  it.each([
    ['EXTRACTABLE', true],
    ['SENSITIVE', false],
    ['ALWAYS_SENSITIVE', false],
    ['NEVER_EXTRACTABLE', false],
    ['LOCAL', false],
    ['PRIVATE', false],
    ['TOKEN', false],
    ['MODIFIABLE', true],
    ['CLASS', 3],
    ['KEY_TYPE', 0x10],
    ['VALUE_LEN', 16],
    ['ENCRYPT', false],
    ['UNWRAP', true],
  ] as const)('is refused and destroyed when its CKA_%s comes out %s', (name, value) => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    library.distort = { [name]: value }
    expect(faultOf(() => perform(token, 'createMasterKey', 0, [NAME]))).toMatchObject({
      kind: 'refusal',
      code: 'UNSUPPORTED',
      reason: expect.stringContaining(`CKA_${name} `),
    })
    expect([library.count('C_GenerateKey'), library.objects.size]).toEqual([1, 0])
  })

  it('takes its first object with it when the second is refused', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    // The role that wraps may not encrypt; the first object reads back well.
    library.distort = { ENCRYPT: true, DECRYPT: true, WRAP: false, UNWRAP: false }
    expect(faultOf(() => perform(token, 'createMasterKey', 0, [NAME]))).toMatchObject({ code: 'UNSUPPORTED' })
    expect([library.count('C_GenerateKey'), library.count('C_DestroyObject')]).toEqual([2, 2])
    expect(library.objects.size).toBe(0)
  })

  it.each([
    ['enc', 'C_EncryptInit'],
    ['enc', 'C_DecryptInit'],
    ['wrap', 'C_WrapKey'],
    ['wrap', 'C_UnwrapKey'],
  ] as const)('is refused and destroyed when the use of its %s object is: %s', (_, method) => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    library.fail(method, 'CKR_KEY_FUNCTION_NOT_PERMITTED')
    const fault = faultOf(() => perform(token, 'createMasterKey', 0, [NAME]))
    expect(fault).toMatchObject({ name: 'CKR_KEY_FUNCTION_NOT_PERMITTED' })
    expect(library.objects.size).toBe(0)
  })

  it('is not tried again after a lost session, because the first try may have made it', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    library.fail('C_GenerateKey', 'CKR_SESSION_HANDLE_INVALID')
    expect(faultOf(() => perform(token, 'createMasterKey', 0, [NAME]))).toMatchObject({
      name: 'CKR_SESSION_HANDLE_INVALID',
    })
    expect(library.count('C_GenerateKey')).toBe(1)
  })
})

describe('destroying objects that were found', () => {
  const destroyAll = (answer: string) => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    perform(token, 'createMasterKey', 0, [NAME])
    const handles = [...library.objects.keys()].map((handle) => Buffer.from(handle, 'hex'))
    library.fail('C_DestroyObject', answer)
    return { library, destroy: () => destroyFound(token, handles) }
  }

  it('is done where another process destroys one at the same time', () => {
    const { library, destroy } = destroyAll('CKR_OBJECT_HANDLE_INVALID')
    expect(destroy).not.toThrow()
    // The double kept the one that it said was gone.
    expect(library.objects.size).toBe(1)
  })

  it('is not where the token fails', () => {
    const { library, destroy } = destroyAll('CKR_DEVICE_ERROR')
    expect(faultOf(destroy)).toMatchObject({ name: 'CKR_DEVICE_ERROR' })
    expect(library.objects.size).toBe(2)
  })
})

describe.each(['findMasterKey', 'destroyMasterKey'] as const)('%s that finds no object', (operation) => {
  it('says that there is none only where it could have found one', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    const run = () => perform(token, operation, 0, [NAME])
    for (const publicSession of [0, 2]) {
      library.sessionState = publicSession
      expect(faultOf(run)).toMatchObject({ code: 'TOKEN_UNAVAILABLE', broken: true })
    }
    library.sessionState = 3
    library.fail('C_GetTokenInfo', 'CKR_TOKEN_NOT_PRESENT')
    expect(faultOf(run)).toMatchObject({ name: 'CKR_TOKEN_NOT_PRESENT' })
    expect(run).not.toThrow()
  })
})

describe('a login', () => {
  const attempt = (flags: number) => {
    const library = new ScriptedLibrary()
    const info = { flags } as pkcs11js.TokenInfo
    return [library, () => login(library.p11, ENC, info, Buffer.from('1234'))] as const
  }

  it.each([
    ['CKF_USER_PIN_FINAL_TRY', 0x20000, 'one try'],
    ['CKF_USER_PIN_LOCKED', 0x40000, 'locked'],
  ])('is not tried under %s', (_, flag, reason) => {
    const [library, tryLogin] = attempt(0x40d | flag)
    expect(faultOf(tryLogin)).toMatchObject({ operator: true, reason: expect.stringContaining(reason) })
    expect(library.count('C_Login')).toBe(0)
  })

  it('is tried otherwise, after failed tries (CKF_USER_PIN_COUNT_LOW) too', () => {
    const [library, tryLogin] = attempt(0x1040d)
    tryLogin()
    expect(library.count('C_Login')).toBe(1)
  })
})

describe('opening', () => {
  const sealedBy = (token: LaneToken) => perform(token, 'sealRandom', 32, [ENC, AAD])
  const flipped = (bytes: Buffer | undefined) => {
    const copy = Buffer.from(bytes ?? [])
    copy[0] = (copy[0] ?? 0) ^ 1
    return copy
  }

  it.each([
    ['a byte more than AES-GCM gives', {}, 1],
    ['a byte less', {}, -1],
    ['no IV behind it, where the token appends its own', { ivSource: 'appended' }, 0],
    ['an IV behind it, where the token does not', {}, 16],
  ] as const)('gives nothing that was sealed to %s', (_, gcm, more) => {
    const library = new ScriptedLibrary()
    const capabilities = { gcm: { wrongTagCkr: '', refusalCkrs: [], ivSource: 'caller', ...gcm } } as const
    const token = library.attach(capabilities)
    library.lengthen = more
    library.ivFor = (given) => (given.length > 0 ? given : Buffer.alloc(12, 1))
    for (const [operation, number, parts] of [
      ['sealRandom', 32, [ENC, AAD]],
      ['seal', 0, [ENC, AAD, Buffer.alloc(32)]],
      ['sealRandomInside', 32, [ENC, WRAP, AAD, W2]],
    ] as const) {
      expect(faultOf(() => perform(token, operation, number, parts))).toMatchObject({
        code: 'UNSUPPORTED',
        reason: expect.stringMatching(/^AES-GCM made \d+ bytes of \d+; \d+ were expected\.$/),
      })
    }
  })

  it('gives back what was sealed', () => {
    const token = new ScriptedLibrary().attach()
    const [iv, bytes, plaintext] = sealedBy(token)
    expect(perform(token, 'open', 0, [ENC, WRAP, AAD, iv!, bytes!])).toEqual([plaintext])
  })

  it.each(['CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED', 'CKR_DEVICE_ERROR', 'CKR_DATA_INVALID'])(
    'blames the ciphertext for %s, given before and after a canary opens, and keeps the session',
    (name) => {
      const library = new ScriptedLibrary()
      const token = library.attach()
      const [iv, bytes] = sealedBy(token)
      library.fail('C_Decrypt', name, 2)
      const fault = faultOf(() => perform(token, 'open', 0, [ENC, WRAP, AAD, iv!, flipped(bytes)]))
      expect(fault).toMatchObject({ kind: 'refusal', code: 'CIPHERTEXT_INVALID' })
      expect([library.count('C_Decrypt'), library.count('C_CloseSession')]).toEqual([4, 0])
    },
  )

  it.each(['CKR_ENCRYPTED_DATA_INVALID', 'CKR_ENCRYPTED_DATA_LEN_RANGE', 'CKR_AEAD_DECRYPT_FAILED'])(
    'takes %s at its word, and proves that the session can stay',
    (name) => {
      const library = new ScriptedLibrary()
      const token = library.attach()
      const [iv, bytes] = sealedBy(token)
      library.fail('C_Decrypt', name)
      const fault = faultOf(() => perform(token, 'open', 0, [ENC, WRAP, AAD, iv!, flipped(bytes)]))
      expect(fault).toMatchObject({ kind: 'refusal', code: 'CIPHERTEXT_INVALID' })
      expect([library.count('C_Decrypt'), library.count('C_CloseSession')]).toEqual([2, 0])
    },
  )

  it('succeeds where the token stumbled once', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    const [iv, bytes, plaintext] = sealedBy(token)
    library.fail('C_Decrypt', 'CKR_GENERAL_ERROR')
    expect(perform(token, 'open', 0, [ENC, WRAP, AAD, iv!, bytes!])).toEqual([plaintext])
    expect([library.count('C_Decrypt'), library.count('C_CloseSession')]).toEqual([2, 0])
  })

  it('blames the ciphertext on a token whose session a failed opening poisons, and gives that up', () => {
    const library = new ScriptedLibrary()
    library.poisons = true
    const token = library.attach()
    const [iv, bytes] = sealedBy(token)
    const first = token.session
    const fault = faultOf(() => perform(token, 'open', 0, [ENC, WRAP, AAD, iv!, flipped(bytes)]))
    expect(fault).toMatchObject({ code: 'CIPHERTEXT_INVALID' })
    expect(token.session).not.toEqual(first)
    expect(sealedBy(token)).toHaveLength(3)
  })

  it.each(['CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED', 'CKR_DEVICE_ERROR', 'CKR_DEVICE_REMOVED'])(
    'blames the token for %s when a canary does not open',
    (name) => {
      const library = new ScriptedLibrary()
      const token = library.attach()
      const [iv, bytes] = sealedBy(token)
      library.fail('C_Decrypt', name, 10)
      const fault = faultOf(() => perform(token, 'open', 0, [ENC, WRAP, AAD, iv!, bytes!]))
      expect(fault).toMatchObject({ kind: 'cryptoki', name, function: 'C_Decrypt' })
    },
  )

  it('blames a token that breaks between the forged ciphertext and the canary', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    const [iv, bytes] = sealedBy(token)
    library.fail('C_EncryptInit', 'CKR_DEVICE_REMOVED', 10)
    const fault = faultOf(() => perform(token, 'open', 0, [ENC, WRAP, AAD, iv!, flipped(bytes)]))
    expect(fault).toMatchObject({ name: 'CKR_DEVICE_REMOVED', function: 'C_EncryptInit' })
  })

  it('blames a token that does not open its own canary any more, and says to connect anew', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    const [iv, bytes] = sealedBy(token)
    library.fail('C_Decrypt', 'CKR_ENCRYPTED_DATA_INVALID', 10)
    const fault = faultOf(() => perform(token, 'open', 0, [ENC, WRAP, AAD, iv!, bytes!]))
    expect(fault).toMatchObject({ code: 'TOKEN_UNAVAILABLE', broken: true })
  })

  it('blames the token when a canary opens to other bytes', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    const [iv, bytes] = sealedBy(token)
    library.openToOtherBytes = true
    library.fail('C_Decrypt', 'CKR_GENERAL_ERROR', 2)
    const fault = faultOf(() => perform(token, 'open', 0, [ENC, WRAP, AAD, iv!, flipped(bytes)]))
    expect(fault).toMatchObject({ kind: 'refusal', code: 'TOKEN_UNAVAILABLE' })
  })

  it('does not blame the token for the canary of a key that had the handle before', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    const [iv, bytes] = sealedBy(token)
    const [otherIv, otherBytes] = perform(token, 'sealRandom', 32, [WRAP, AAD])
    token.rememberCanary(ENC, { iv: otherIv!, bytes: otherBytes! })
    const fault = faultOf(() => perform(token, 'open', 0, [ENC, WRAP, AAD, iv!, flipped(bytes)]))
    expect(fault).toMatchObject({ kind: 'refusal', code: 'CIPHERTEXT_INVALID' })
  })

  it('tells a payload that is no wrapped key from a broken token in the same way', () => {
    for (const [times, expected] of [
      [2, { kind: 'refusal', code: 'CIPHERTEXT_INVALID' }],
      [10, { kind: 'cryptoki', name: 'CKR_GENERAL_ERROR', function: 'C_UnwrapKey' }],
    ] as const) {
      const library = new ScriptedLibrary()
      const token = library.attach()
      const payload = encodeWrappedPayload('rfc5649', 32, Buffer.alloc(40))
      const [iv, bytes] = perform(token, 'seal', 0, [ENC, AAD, payload])
      library.fail('C_UnwrapKey', 'CKR_GENERAL_ERROR', times)
      expect(faultOf(() => perform(token, 'open', 2, [ENC, WRAP, AAD, iv!, bytes!]))).toMatchObject(expected)
      expect(library.objects.size).toBe(0)
    }
  })
})

describe('opening what another token or firmware sealed', () => {
  const flipFirst = (bytes: Buffer) => Buffer.from(bytes).fill((bytes[0] ?? 0) ^ 1, 0, 1)
  const openWith = (capabilities: Partial<TokenCapabilities>, change: (bytes: Buffer) => Buffer) => {
    const library = new ScriptedLibrary()
    const [iv, bytes] = perform(library.attach(), 'sealRandomInside', 32, [ENC, WRAP, AAD, W2])
    const token = library.attach(capabilities)
    return faultOf(() => perform(token, 'open', 2, [ENC, WRAP, AAD, iv!, change(bytes!)]))
  }
  const cbc: KeyWrap = { mechanism: CKM_AES_CBC_PAD, format: 'cbc-pad', readOut: 'explicit' }

  it.each([
    ['no key wrap', []],
    ['a key wrap of another format', [cbc]],
  ])(
    'is unsupported on a token with %s when the payload authenticates, and invalid otherwise',
    (_, keyWraps) => {
      expect(openWith({ keyWraps }, (bytes) => bytes)).toMatchObject({
        code: 'UNSUPPORTED',
        reason: expect.stringContaining('rfc5649'),
      })
      expect(openWith({ keyWraps }, flipFirst)).toMatchObject({ code: 'CIPHERTEXT_INVALID' })
    },
  )

  it.each([
    ['a format that nothing has', Buffer.concat([Buffer.of(0x80, 32), Buffer.alloc(40)])],
    ['a length that its format does not make', encodeWrappedPayload('rfc5649', 32, Buffer.alloc(48))],
    ['no wrapped key', Buffer.of(0, 32)],
  ])('is invalid with %s', (_, payload) => {
    const token = new ScriptedLibrary().attach()
    const [iv, bytes] = perform(token, 'seal', 0, [ENC, AAD, payload])
    const fault = faultOf(() => perform(token, 'open', 2, [ENC, WRAP, AAD, iv!, bytes!]))
    expect(fault).toMatchObject({ code: 'CIPHERTEXT_INVALID' })
  })

  it('uses the mechanism of the format that the payload names, whichever is first today', () => {
    const library = new ScriptedLibrary()
    const [iv, bytes] = perform(library.attach(), 'sealRandomInside', 32, [ENC, WRAP, AAD, W2])
    const kwp: KeyWrap = { mechanism: CKM_AES_KEY_WRAP_PAD, format: 'rfc5649', readOut: 'bare' }
    const token = library.attach({ keyWrap: cbc, keyWraps: [cbc, kwp] })
    faultOf(() => perform(token, 'open', 2, [ENC, WRAP, AAD, iv!, bytes!]))
    expect(library.calls.find(({ name }) => name === 'C_UnwrapKey')?.args[1]).toEqual({
      mechanism: CKM_AES_KEY_WRAP_PAD,
    })
  })

  it('costs no GCM invocation of the wrap key but one, however many are forged in mode W1', () => {
    const library = new ScriptedLibrary()
    const token = library.attach({ gcmWrap: true })
    const [iv, bytes] = perform(token, 'sealRandom', 32, [ENC, AAD])
    for (let forged = 0; forged < 20; forged++) {
      library.fail('C_UnwrapKey', 'CKR_ENCRYPTED_DATA_INVALID')
      const fault = faultOf(() => perform(token, 'open', 1, [ENC, WRAP, AAD, iv!, bytes!]))
      expect(fault).toMatchObject({ code: 'CIPHERTEXT_INVALID' })
    }
    expect(library.count('C_WrapKey')).toBe(1)
    // A remembered canary that does not unwrap decides nothing by itself.
    library.fail('C_UnwrapKey', 'CKR_ENCRYPTED_DATA_INVALID', 2)
    const fault = faultOf(() => perform(token, 'open', 1, [ENC, WRAP, AAD, iv!, bytes!]))
    expect(fault).toMatchObject({ code: 'CIPHERTEXT_INVALID' })
    expect(library.count('C_WrapKey')).toBe(2)
  })

  it('is invalid in mode W1 where nothing can tell whether it authenticates', () => {
    const token = new ScriptedLibrary().attach()
    const [iv, bytes] = perform(token, 'sealRandom', 32, [ENC, AAD])
    const fault = faultOf(() => perform(token, 'open', 1, [ENC, WRAP, AAD, iv!, bytes!]))
    expect(fault).toMatchObject({ code: 'CIPHERTEXT_INVALID' })
  })
})

describe('a session', () => {
  const seal = (token: LaneToken) => perform(token, 'seal', 0, [ENC, AAD, Buffer.from('text')])
  const sessionOf = (library: ScriptedLibrary, name: string) =>
    library.calls.filter((call) => call.name === name).map(({ args }) => args[0])

  it.each(['C_EncryptInit', 'C_Encrypt'])(
    'is given up after an error in %s, and a new one opened',
    (method) => {
      const library = new ScriptedLibrary()
      const token = library.attach()
      const first = token.session
      // A return value whose row says that the session is good: the open operation is what condemns it.
      library.fail(method, 'CKR_KEY_FUNCTION_NOT_PERMITTED')
      expect(faultOf(() => seal(token))).toMatchObject({ name: 'CKR_KEY_FUNCTION_NOT_PERMITTED' })
      expect(sessionOf(library, 'C_CloseSession')).toEqual([first])
      seal(token)
      expect(library.count('C_OpenSession')).toBe(1)
      expect(sessionOf(library, 'C_Encrypt').at(-1)).not.toEqual(first)
    },
  )

  it('stays after an error that left no operation open', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    library.fail('C_GenerateKey', 'CKR_MECHANISM_INVALID')
    expect(faultOf(() => perform(token, 'sealRandomInside', 32, [ENC, WRAP, AAD, W2]))).toMatchObject({
      name: 'CKR_MECHANISM_INVALID',
    })
    expect(library.count('C_CloseSession')).toBe(0)
  })

  it.each(['CKR_SESSION_HANDLE_INVALID', 'CKR_SESSION_CLOSED', 'CKR_OPERATION_ACTIVE'])(
    'that answers %s costs one more try on a new one, and no third',
    (name) => {
      const library = new ScriptedLibrary()
      const token = library.attach()
      library.fail('C_EncryptInit', name)
      expect(seal(token)).toHaveLength(2)
      expect([library.count('C_EncryptInit'), library.count('C_OpenSession')]).toEqual([2, 1])
      library.calls.length = 0
      library.fail('C_EncryptInit', name, 10)
      expect(faultOf(() => seal(token))).toMatchObject({ name })
      expect(library.count('C_EncryptInit')).toBe(2)
    },
  )

  it('is not what an error of the device is about', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    library.fail('C_EncryptInit', 'CKR_DEVICE_ERROR')
    expect(faultOf(() => seal(token))).toMatchObject({ name: 'CKR_DEVICE_ERROR' })
    expect(library.count('C_EncryptInit')).toBe(1)
  })
})

describe('a data key made inside', () => {
  it('is a sensitive session object that can be wrapped and nothing else, and is destroyed', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    perform(token, 'sealRandomInside', 32, [ENC, WRAP, AAD, W2])
    const made = library.calls.find(({ name }) => name === 'C_GenerateKey')
    const asked = (made?.args[2] ?? []) as Attribute[]
    const template = new Map(asked.map(({ type, value }) => [type, value]))
    const said = Object.fromEntries(Object.entries(CKA).map(([name, type]) => [name, template.get(type)]))
    expect(said).toMatchObject({
      SENSITIVE: true,
      EXTRACTABLE: true,
      TOKEN: false,
      PRIVATE: true,
      VALUE_LEN: 32,
    })
    for (const usage of ['ENCRYPT', 'DECRYPT', 'WRAP', 'UNWRAP', 'SIGN', 'VERIFY', 'DERIVE']) {
      expect(said[usage]).toBe(false)
    }
    expect(library.objects.size).toBe(0)
    expect(library.count('C_GetAttributeValue')).toBe(0)
  })

  it('is destroyed when it cannot be wrapped', () => {
    const library = new ScriptedLibrary()
    const token = library.attach()
    library.fail('C_WrapKey', 'CKR_KEY_NOT_WRAPPABLE')
    expect(faultOf(() => perform(token, 'sealRandomInside', 32, [ENC, WRAP, AAD, W2]))).toMatchObject({
      name: 'CKR_KEY_NOT_WRAPPABLE',
    })
    expect(library.objects.size).toBe(0)
  })
})
