import { afterAll, beforeAll, expect, it } from 'vitest'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import { objectId, objectLabel } from '../../src/providers/pkcs11/object-names.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { CKA, masterKeyTemplates } from '../../src/providers/pkcs11/templates.ts'
import {
  describeWith,
  eventually,
  freshRef,
  inOtherProcess,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

const AAD = Buffer.from('aad')

describeWith([SOFTHSM_MODULE], 'master keys on SoftHSM', () => {
  let softHsm: SoftHsm
  let provider: Pkcs11Provider

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken('keys')
    provider = await startProvider(settingsFor('keys'))
  })

  afterAll(async () => {
    await provider?.close()
    softHsm?.remove()
  })

  it('makes two objects that never leave the token, one to encrypt with and one to wrap with', async () => {
    const ref = freshRef()
    expect(await provider.findMasterKey(ref, within())).toBe('absent')
    await provider.createMasterKey(ref, within())
    expect(await provider.findMasterKey(ref, within())).toBe('present')
    const names = ['SENSITIVE', 'ALWAYS_SENSITIVE', 'NEVER_EXTRACTABLE', 'LOCAL', 'PRIVATE', 'TOKEN'] as const
    const refused = ['EXTRACTABLE', 'MODIFIABLE', 'COPYABLE', 'SIGN', 'VERIFY', 'DERIVE'] as const
    for (const role of ['enc', 'wrap'] as const) {
      const [own, other] = role === 'enc' ? (['CRYPT', 'WRAP'] as const) : (['WRAP', 'CRYPT'] as const)
      expect(inspect(ref, role)).toMatchObject({
        label: objectLabel(ref, role),
        ...Object.fromEntries(names.map((name) => [name, true])),
        ...Object.fromEntries(refused.map((name) => [name, false])),
        ...(own === 'CRYPT' ? { ENCRYPT: true, DECRYPT: true } : { WRAP: true, UNWRAP: true }),
        ...(other === 'CRYPT' ? { ENCRYPT: false, DECRYPT: false } : { WRAP: false, UNWRAP: false }),
      })
    }
  })

  it('refuses to make a version that exists', async () => {
    const ref = freshRef()
    await provider.createMasterKey(ref, within())
    await expect(provider.createMasterKey(ref, within())).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await provider.findMasterKey(ref, within())).toBe('present')
  })

  it('refuses to make a version whose label is taken', async () => {
    const ref = freshRef()
    await provider.createMasterKey(ref, within())
    const sameLabel = { ...ref, versionId: crypto.randomUUID() }
    await expect(provider.createMasterKey(sameLabel, within())).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    })
    expect(await provider.findMasterKey(sameLabel, within())).toBe('absent')
  })

  it('destroys a version, which then opens nothing, and destroys it again without complaint', async () => {
    const ref = freshRef()
    await provider.createMasterKey(ref, within())
    const sealed = await provider.sealRandom(ref, 32, AAD, within())
    await provider.destroyMasterKey(ref, within())
    expect(await provider.findMasterKey(ref, within())).toBe('absent')
    await expect(provider.open(ref, 'W0', sealed, AAD, within())).rejects.toMatchObject({
      code: 'TOKEN_UNAVAILABLE',
    })
    await provider.destroyMasterKey(ref, within())
  })

  it('does not reconnect for a key that was never there or that it destroyed itself', async () => {
    const [never, destroyed] = [freshRef(), freshRef()]
    await provider.createMasterKey(destroyed, within())
    await provider.sealRandom(destroyed, 32, AAD, within())
    await provider.destroyMasterKey(destroyed, within())
    for (const ref of [never, destroyed]) {
      await expect(provider.sealRandom(ref, 32, AAD, within())).rejects.toMatchObject({
        code: 'TOKEN_UNAVAILABLE',
      })
    }
    expect(provider.status()).toMatchObject({ state: 'up', generation: 1 })
  })

  it('reconnects once, not again and again, for a key that somebody else destroyed', async () => {
    const [gone, other] = [freshRef(), freshRef()]
    await provider.createMasterKey(gone, within())
    await provider.createMasterKey(other, within())
    await provider.sealRandom(gone, 32, AAD, within())
    destroyObjects(gone)
    for (let count = 0; count < 10; count += 1) {
      await expect(provider.sealRandom(gone, 32, AAD, within())).rejects.toMatchObject({
        code: 'TOKEN_UNAVAILABLE',
      })
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await eventually(() => provider.status().state === 'up')
    expect(provider.status().generation).toBe(2)
    await provider.sealRandom(other, 32, AAD, within())
  })

  it('finds a version of which one object is missing to be partial', async () => {
    const ref = freshRef()
    makeObjects(ref, ['enc'])
    expect(await provider.findMasterKey(ref, within())).toBe('partial')
    await provider.destroyMasterKey(ref, within())
    expect(await provider.findMasterKey(ref, within())).toBe('absent')
  })

  it.each([
    ['EXTRACTABLE', true],
    ['SENSITIVE', false],
    ['MODIFIABLE', true],
    ['VALUE_LEN', 16],
    ['WRAP', true],
  ] as const)('finds a version whose CKA_%s is %s to be altered', async (name, value) => {
    const ref = freshRef()
    makeObjects(ref, ['enc'], { [CKA[name]]: value })
    makeObjects(ref, ['wrap'])
    expect(await provider.findMasterKey(ref, within())).toBe('altered')
    await provider.destroyMasterKey(ref, within())
    expect(await provider.findMasterKey(ref, within())).toBe('absent')
  })

  it('finds a version that was made like ours to be present', async () => {
    const ref = freshRef()
    makeObjects(ref, ['enc', 'wrap'])
    expect(await provider.findMasterKey(ref, within())).toBe('present')
  })

  it('refuses a version that the token holds twice', async () => {
    const ref = freshRef()
    makeObjects(ref, ['enc', 'wrap', 'enc'])
    const error = await provider.sealRandom(ref, 32, AAD, within()).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'TOKEN_UNAVAILABLE',
      cause: { message: expect.stringContaining('more than one') },
    })
    expect(await provider.findMasterKey(ref, within())).toBe('altered')
    await provider.destroyMasterKey(ref, within())
    expect(await provider.findMasterKey(ref, within())).toBe('absent')
  })

  it('uses a key for the first time while a flood of creations waits', async () => {
    const cold = freshRef()
    makeObjects(cold, ['enc', 'wrap'])
    let made = 0
    const options = within(25_000)
    const flood = Array.from({ length: 60 }, () =>
      provider.createMasterKey(freshRef(), options).then(() => (made += 1)),
    )
    await eventually(() => made >= 5)
    const before = made
    await provider.sealRandom(cold, 32, AAD, options)
    // Two creations were on their way; a few more may end while the answer travels.
    expect(made - before).toBeLessThan(12)
    await Promise.all(flood)
    expect(made).toBe(60)
  })

  it('makes and uses many keys at once', async () => {
    const refs = Array.from({ length: 12 }, freshRef)
    const options = within(20_000)
    await Promise.all(refs.map((ref) => provider.createMasterKey(ref, options)))
    const sealed = await Promise.all(refs.map((ref) => provider.sealRandom(ref, 16, AAD, options)))
    const opened = await Promise.all(
      refs.map((ref, index) => provider.open(ref, 'W0', sealed[index] ?? sealed[0]!, AAD, options)),
    )
    expect(opened).toEqual(sealed.map((one) => one.plaintext))
  })
})

/** Every CK_BBOOL that decides what may be done with a master key. */
const FLAGS = [
  'TOKEN',
  'PRIVATE',
  'SENSITIVE',
  'ALWAYS_SENSITIVE',
  'EXTRACTABLE',
  'NEVER_EXTRACTABLE',
  'LOCAL',
  'MODIFIABLE',
  'COPYABLE',
  'ENCRYPT',
  'DECRYPT',
  'WRAP',
  'UNWRAP',
  'SIGN',
  'VERIFY',
  'DERIVE',
] as const

/** Attributes of an object as another process sees them. */
function inspect(ref: MasterKeyRef, role: 'enc' | 'wrap'): Record<string, unknown> {
  const names = FLAGS.map((name) => [name, CKA[name]])
  const out = inOtherProcess(
    'keys',
    `
    p11.C_FindObjectsInit(session, [{ type: 0x102, value: Buffer.from(input.id, 'hex') }])
    const [object] = p11.C_FindObjects(session, 2)
    p11.C_FindObjectsFinal(session)
    const read = (type) => p11.C_GetAttributeValue(session, object, [{ type }])[0].value
    output = { label: read(3).toString() }
    for (const [name, type] of input.names) output[name] = read(type)[0] === 1
    `,
    { id: objectId(ref, role).toString('hex'), names },
  )
  return out as Record<string, unknown>
}

/** Makes objects of a version in another process, without the checks of the provider. */
function makeObjects(
  ref: MasterKeyRef,
  roles: readonly ('enc' | 'wrap')[],
  instead: Readonly<Record<number, number | boolean>> = {},
): void {
  const templates = roles.map((role) =>
    masterKeyTemplates(ref, role, false)[0]?.map(({ type, value }) => ({
      type,
      value: instead[type] ?? value,
    })),
  )
  inOtherProcess(
    'keys',
    `
    const revive = ({ type, value }) => ({ type, value: value?.type === 'Buffer' ? Buffer.from(value.data) : value })
    for (const template of input.templates) p11.C_GenerateKey(session, { mechanism: 0x1080 }, template.map(revive))
    `,
    { templates },
  )
}

/** Destroys a version in another process. */
function destroyObjects(ref: MasterKeyRef): void {
  const ids = (['enc', 'wrap'] as const).map((role) => objectId(ref, role).toString('hex'))
  inOtherProcess(
    'keys',
    `
    for (const id of input.ids) {
      p11.C_FindObjectsInit(session, [{ type: 0x102, value: Buffer.from(id, 'hex') }])
      const [object] = p11.C_FindObjects(session, 2)
      p11.C_FindObjectsFinal(session)
      p11.C_DestroyObject(session, object)
    }
    `,
    { ids },
  )
}
