import { createDecipheriv, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { toFault } from '../../../src/providers/pkcs11/errors.ts'
import { SEAL_MODE_NUMBERS } from '../../../src/providers/pkcs11/inside-mode.ts'
import type { LaneToken } from '../../../src/providers/pkcs11/lane-token.ts'
import {
  CKM_AES_CBC_PAD,
  CKM_AES_GCM,
  CKM_AES_KEY_WRAP_KWP,
  CKM_AES_KEY_WRAP_PAD,
} from '../../../src/providers/pkcs11/mechanisms.ts'
import { probeCapabilities } from '../../../src/providers/pkcs11/probe.ts'
import { PROCEDURES } from '../../../src/providers/pkcs11/procedures/table.ts'
import type { KeyWrapFormat, ReadOut } from '../../../src/providers/pkcs11/settings.ts'
import { CKA } from '../../../src/providers/pkcs11/templates.ts'
import { quirksOf } from '../../../src/providers/pkcs11/vendor-quirks.ts'
import { ScriptedLibrary } from './scripted-token.ts'
import { GCM_WRAP, type ScriptedWrap, wrapsOf } from './scripted-wraps.ts'

const ENC = Buffer.from('0e00000000000000', 'hex')
const WRAP = Buffer.from('0f00000000000000', 'hex')
const AAD = Buffer.from('aad')
const KWP = CKM_AES_KEY_WRAP_KWP
const PAD = CKM_AES_KEY_WRAP_PAD

function libraryWith(wraps: Readonly<Record<number, ScriptedWrap>>): ScriptedLibrary {
  const library = new ScriptedLibrary()
  library.wraps = wraps
  return library
}

const GCM_WITHOUT_AAD: ScriptedWrap = {
  wrap: (key, value, parameter) =>
    GCM_WRAP.wrap(key, value, { ...(parameter as object), aad: Buffer.alloc(0) }),
  unwrap: (key, wrapped, parameter) =>
    GCM_WRAP.unwrap(key, wrapped, { ...(parameter as object), aad: Buffer.alloc(0) }),
}
const GCM_WITHOUT_TAG: ScriptedWrap = {
  wrap: GCM_WRAP.wrap,
  unwrap: (key, wrapped, parameter) => {
    const { iv, aad } = parameter as { readonly iv: Buffer; readonly aad: Buffer }
    return createDecipheriv('aes-256-gcm', key, iv).setAAD(aad).update(wrapped.subarray(0, -16))
  },
}

/** A lane whose token was probed. */
function probed(library: ScriptedLibrary, waives: readonly (keyof typeof CKA)[] = []): LaneToken {
  const token = library.attach()
  probeCapabilities(token, { enc: ENC, wrap: WRAP }, { waives })
  return token
}

function faultOf(work: () => unknown) {
  try {
    work()
  } catch (error) {
    return toFault(error)
  }
  throw new Error('It succeeded.')
}

const modeOf = ({ capabilities }: LaneToken) => SEAL_MODE_NUMBERS[capabilities.insideSealMode ?? 'W0']

function sealInside(token: LaneToken, lengthBytes: number): readonly [iv: Buffer, bytes: Buffer] {
  const parts = [ENC, WRAP, AAD, Buffer.of(modeOf(token))]
  const [iv, bytes] = PROCEDURES.sealRandomInside.run(token, lengthBytes, parts)
  return [iv!, bytes!]
}

function openInside(token: LaneToken, mode: number, [iv, bytes]: readonly [Buffer, Buffer]): Buffer {
  return PROCEDURES.open.run(token, mode, [ENC, WRAP, AAD, iv, bytes])[0]!
}

describe('what a token wraps with', () => {
  const rows: readonly (readonly [
    name: string,
    wraps: Readonly<Record<number, ScriptedWrap>>,
    mode: 'W1' | 'W2' | undefined,
    formats: readonly KeyWrapFormat[],
    first: number | undefined,
  ])[] = [
    ['SoftHSM', wrapsOf({ [PAD]: 'rfc5649' }), 'W2', ['rfc5649'], PAD],
    [
      'NSS',
      wrapsOf({ [KWP]: 'rfc5649', [PAD]: 'pkcs7-8' }, { cbc: true }),
      'W2',
      ['rfc5649', 'pkcs7-8', 'cbc-pad'],
      KWP,
    ],
    [
      'openCryptoki 3.27',
      wrapsOf({ [KWP]: 'rfc5649', [PAD]: 'pkcs7-16' }, { cbc: true, gcm: true }),
      'W1',
      ['rfc5649', 'pkcs7-16', 'cbc-pad'],
      KWP,
    ],
    ['openCryptoki 3.23', wrapsOf({}, { cbc: true }), 'W2', ['cbc-pad'], CKM_AES_CBC_PAD],
    [
      'one with its own idea of both numbers',
      wrapsOf({ [KWP]: 'pkcs7-16', [PAD]: 'pkcs7-8' }),
      'W2',
      ['pkcs7-8', 'pkcs7-16'],
      PAD,
    ],
    ['one with AES-GCM alone', wrapsOf({}, { gcm: true }), 'W1', [], undefined],
  ]

  it.each(rows)('is told by its output: %s', (_, wraps, mode, formats, first) => {
    const { capabilities } = probed(libraryWith(wraps))
    expect(capabilities.insideSealMode).toBe(mode)
    expect(capabilities.gcmWrap).toBe(mode === 'W1')
    expect(capabilities.keyWraps.map(({ format }) => format)).toEqual(formats)
    expect(capabilities.keyWrap).toEqual(capabilities.keyWraps[0])
    expect(capabilities.keyWrap?.mechanism).toBe(first)
  })

  it.each(rows)('seals data keys that open again: %s', (_, wraps) => {
    const token = probed(libraryWith(wraps))
    const { min, max } = token.capabilities.insideBytes
    expect([min <= 16, max]).toEqual([true, 1024])
    for (const length of [min, 16, 17, 24, 32, 33, 1024]) {
      const sealed = sealInside(token, length)
      const opened = openInside(token, modeOf(token), sealed)
      expect(opened).toHaveLength(length)
      expect(openInside(token, modeOf(token), sealed)).toEqual(opened)
    }
  })

  it('leaves nothing behind in the token', () => {
    const library = libraryWith(wrapsOf({ [KWP]: 'rfc5649' }, { gcm: true, cbc: true }))
    probed(library)
    expect(library.objects.size).toBe(0)
    expect(library.names()).not.toContain('C_GenerateKeyPair')
  })

  it.each(['rfc5649', 'pkcs7-8', 'pkcs7-16', 'cbc-pad'] as const)(
    'opens what was wrapped as %s after a firmware that knows better, and on a token that has it elsewhere',
    (format) => {
      const old = probed(
        libraryWith(format === 'cbc-pad' ? wrapsOf({}, { cbc: true }) : wrapsOf({ [KWP]: format })),
      )
      const sealed = sealInside(old, 33)
      const opened = openInside(old, SEAL_MODE_NUMBERS.W2, sealed)
      const better = wrapsOf({ [PAD]: format === 'cbc-pad' ? 'pkcs7-8' : format }, { gcm: true, cbc: true })
      const token = probed(libraryWith(better))
      expect(token.capabilities.insideSealMode).toBe('W1')
      expect(openInside(token, SEAL_MODE_NUMBERS.W2, sealed)).toEqual(opened)
    },
  )

  it('is nothing where the output has no known length, or where unwrapping gives something else', () => {
    const long: ScriptedWrap = { wrap: () => Buffer.alloc(72), unwrap: () => Buffer.alloc(32) }
    const constant: ScriptedWrap = { wrap: () => Buffer.alloc(40), unwrap: () => Buffer.alloc(32) }
    const { capabilities } = probed(libraryWith({ [KWP]: long, [PAD]: constant }))
    expect(capabilities.keyWraps).toEqual([])
    expect(capabilities.insideSealMode).toBeUndefined()
    expect(capabilities.refused).toMatchObject({
      'C_WrapKey with CKM_AES_KEY_WRAP_KWP': expect.stringContaining('72 bytes of 32'),
      'C_WrapKey with CKM_AES_KEY_WRAP_PAD': expect.stringContaining('is not what was wrapped'),
      'C_WrapKey with CKM_AES_GCM': expect.stringContaining('CKR_MECHANISM_INVALID'),
    })
  })

  it.each([
    ['C_UnwrapKey takes wrong additional data.', GCM_WITHOUT_AAD],
    ['C_UnwrapKey takes a wrong tag.', GCM_WITHOUT_TAG],
  ])('is not AES-GCM where %s', (refusal, lax) => {
    const { capabilities } = probed(libraryWith({ ...wrapsOf({ [KWP]: 'rfc5649' }), [CKM_AES_GCM]: lax }))
    expect([capabilities.gcmWrap, capabilities.insideSealMode]).toEqual([false, 'W2'])
    expect(capabilities.refused).toMatchObject({ 'C_WrapKey with CKM_AES_GCM': refusal })
  })

  it('is tried once more where the token stumbles, and not taken for missing where it is gone', () => {
    const library = libraryWith(wrapsOf({ [KWP]: 'rfc5649' }, { gcm: true }))
    const token = library.attach()
    const probe = () => probeCapabilities(token, { enc: ENC, wrap: WRAP }, { waives: [] })
    library.fail('C_WrapKey', 'CKR_FUNCTION_FAILED')
    probe()
    expect(token.capabilities.insideSealMode).toBe('W1')
    for (const name of ['CKR_DEVICE_REMOVED', 'CKR_USER_NOT_LOGGED_IN', 'CKR_WRAPPING_KEY_HANDLE_INVALID']) {
      library.fail('C_WrapKey', name)
      expect(faultOf(probe)).toMatchObject({ kind: 'cryptoki', name })
    }
  })

  it('is settled by the same answer again and again, and by no number of different ones', () => {
    const library = libraryWith(wrapsOf({ [KWP]: 'rfc5649' }, { gcm: true }))
    const token = library.attach()
    const probe = () => probeCapabilities(token, { enc: ENC, wrap: WRAP }, { waives: [] })
    const stumbles = ['CKR_HOST_MEMORY', 'CKR_DEVICE_ERROR', 'CKR_FUNCTION_FAILED', 'CKR_DEVICE_MEMORY']
    library.failInTurn('C_WrapKey', [...stumbles, ...stumbles])
    probe()
    expect(token.capabilities.insideSealMode).toBe('W1')
    library.fail('C_WrapKey', 'CKR_FUNCTION_FAILED', 3)
    probe()
    expect([token.capabilities.gcmWrap, token.capabilities.insideSealMode]).toEqual([false, 'W2'])
    library.failInTurn('C_WrapKey', [
      ...stumbles,
      ...stumbles,
      'CKR_CANCEL',
      'CKR_NO_EVENT',
      'CKR_KEY_NEEDED',
      'CKR_KEY_CHANGED',
    ])
    expect(faultOf(probe)).toMatchObject({
      code: 'TOKEN_UNAVAILABLE',
      broken: true,
      reason: expect.stringContaining('C_WrapKey returned CKR_DEVICE_MEMORY (0x31)'),
    })
  })

  it('is left open where the token broke meanwhile and gives one answer to everything', () => {
    const library = new ScriptedLibrary()
    let seals = 0
    library.ivFor = (given) => {
      seals += 1
      // After what tells whether AES-GCM works.
      if (seals === 2)
        for (const method of ['C_EncryptInit', 'C_WrapKey']) library.fail(method, 'CKR_GENERAL_ERROR', 1_000)
      return given
    }
    expect(faultOf(() => probed(library))).toMatchObject({ name: 'CKR_GENERAL_ERROR' })
    expect(library.count('C_WrapKey')).toBeGreaterThan(0)
  })

  it('is left open where the token has no session to try it on', () => {
    const library = libraryWith(wrapsOf({ [KWP]: 'rfc5649' }, { gcm: true }))
    const token = library.attach()
    library.fail('C_OpenSession', 'CKR_SESSION_COUNT', 3)
    expect(faultOf(() => probeCapabilities(token, { enc: ENC, wrap: WRAP }, { waives: [] }))).toMatchObject({
      code: 'TOKEN_UNAVAILABLE',
      broken: true,
    })
  })
})

describe('who chooses the IV', () => {
  const own = () => randomBytes(12)
  const writtenBack = (given: Buffer) => {
    own().copy(given)
    return Buffer.from(given)
  }

  it('is the caller where the one given in is used and left alone', () => {
    const { capabilities } = probed(new ScriptedLibrary())
    expect(capabilities.gcm).toEqual({
      ivSource: 'caller',
      wrongTagCkr: 'CKR_GENERAL_ERROR',
      refusalCkrs: ['CKR_GENERAL_ERROR'],
    })
  })

  it('is the token where it writes its own over any IV', () => {
    const library = new ScriptedLibrary()
    library.ivFor = writtenBack
    expect(probed(library).capabilities.gcm.ivSource).toBe('writtenBack')
  })

  it.each([
    ['uses an IV of its own and keeps it to itself', { ivFor: own }],
    ['uses the same IV always', { ivFor: () => Buffer.alloc(12), ignores: 'iv' }],
    ['writes the same IV back always', { ivFor: (given: Buffer) => given.fill(7) }],
    ['does not look at the tag', { ignores: 'tag' }],
    ['does not look at the additional data', { ignores: 'aad' }],
    ['opens to other bytes', { openToOtherBytes: true }],
  ] as const)('is nobody on a token that %s: it is refused', (_, ways) => {
    const library = Object.assign(new ScriptedLibrary(), ways)
    expect(faultOf(() => probed(library))).toMatchObject({
      kind: 'refusal',
      code: 'TOKEN_UNAVAILABLE',
      reason: expect.stringMatching(
        /^The token cannot seal with CKM_AES_GCM\. Tried with 12 random bytes as IV: .+; .+; .+\.$/,
      ),
      hint: expect.stringContaining('docs/operating/tokens.md'),
    })
  })

  it.each([
    ['CKR_MECHANISM_INVALID', true],
    ['CKR_DEVICE_ERROR', false],
  ] as const)('is tried again later after %s: not %s', (name, operator) => {
    const library = new ScriptedLibrary()
    library.fail('C_EncryptInit', name, 100)
    expect(faultOf(() => probed(library))).toMatchObject({ code: 'TOKEN_UNAVAILABLE', operator })
  })

  it('and a token that stops telling its IV makes no ciphertext', () => {
    const library = new ScriptedLibrary()
    library.ivFor = writtenBack
    const token = probed(library)
    library.ivFor = (given) => given
    const seal = () => PROCEDURES.seal.run(token, 0, [ENC, AAD, Buffer.from('text')])
    expect(faultOf(seal)).toMatchObject({
      kind: 'refusal',
      reason: expect.stringContaining('did not tell the IV'),
    })
  })
})

describe('templates and lengths', () => {
  const withGcm = () => libraryWith(wrapsOf({}, { gcm: true }))

  it.each([
    ['explicit', 'C_UnwrapKey', () => false],
    ['bare', 'C_UnwrapKey', (template) => template.has(CKA.SENSITIVE)],
    [
      'explicitWithLength',
      'C_UnwrapKey',
      (template) => !template.has(CKA.VALUE_LEN) || !template.has(CKA.SENSITIVE),
    ],
    [
      'bareWithLength',
      'C_UnwrapKey',
      (template) => !template.has(CKA.VALUE_LEN) || template.has(CKA.SENSITIVE),
    ],
  ] as const satisfies [ReadOut, string, (template: ReadonlyMap<number, unknown>) => boolean][])(
    'are those that the token takes to read a key out: %s',
    (readOut, refusing, refuses) => {
      const library = withGcm()
      library.refuses = (method, template) =>
        method === refusing && refuses(template) ? 'CKR_TEMPLATE_INCONSISTENT' : undefined
      const token = probed(library)
      expect(token.capabilities).toMatchObject({ gcmWrap: true, gcmReadOut: readOut })
      expect(openInside(token, modeOf(token), sealInside(token, 32))).toHaveLength(32)
    },
  )

  it('make readable data keys where none can be sensitive, and only there', () => {
    const library = withGcm()
    library.refuses = (method, template) =>
      method === 'C_GenerateKey' && template.get(CKA.EXTRACTABLE) && template.get(CKA.SENSITIVE)
        ? 'CKR_TEMPLATE_INCONSISTENT'
        : undefined
    const token = probed(library)
    expect(token.capabilities.dataKeysSensitive).toBe(false)
    expect(openInside(token, modeOf(token), sealInside(token, 32))).toHaveLength(32)
    expect(library.objects.size).toBe(0)
    expect(probed(withGcm()).capabilities.dataKeysSensitive).toBe(true)
  })

  it('are those of data keys that come back', () => {
    const library = withGcm()
    library.refuses = (_, template) => {
      const length = Number(template.get(CKA.VALUE_LEN) ?? 32)
      return length < 10 || length > 256 ? 'CKR_KEY_SIZE_RANGE' : undefined
    }
    expect(probed(library).capabilities.insideBytes).toEqual({ min: 16, max: 256 })
  })

  it('are not bound to mechanisms where that is not honoured', () => {
    const { capabilities } = probed(withGcm())
    expect(capabilities.allowedMechanisms).toBe(false)
    expect(capabilities.refused['CKA_ALLOWED_MECHANISMS']).toContain('other mechanisms')
  })
})

describe('a departure from the standard', () => {
  const description = { label: 'any', serial: '1', firmware: '3.1' }
  const NSS = { ...description, manufacturer: 'Mozilla Foundation', model: 'NSS 3' }

  it('is known of exactly the token that says who it is', () => {
    expect(quirksOf(NSS).waives).toEqual(['LOCAL'])
    for (const other of [
      { ...NSS, model: 'NSS 30' },
      { ...NSS, manufacturer: 'Mozilla' },
      { ...NSS, label: 'NSS 3', model: '' },
    ]) {
      expect(quirksOf(other).waives).toEqual([])
    }
  })

  it('is waived only where it is seen', () => {
    const waivedWhere = (local: boolean) => {
      const library = new ScriptedLibrary()
      library.objects.set(ENC.toString('hex'), new Map([[CKA.LOCAL, local]]))
      return probed(library, ['LOCAL']).capabilities.waived
    }
    expect([waivedWhere(true), waivedWhere(false)]).toEqual([[], ['LOCAL']])
  })
})
