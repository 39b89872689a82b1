import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { tokenRef } from '../../src/core/find-key.ts'
import type { MasterKey } from '../../src/core/key.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { ALICE, call, GRACE_MS, kmsOn } from '../support/kms-fixture.ts'
import {
  describeWith,
  inOtherProcess,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

const DAY_MS = 86_400_000
const NOTHING = { finished: 0, rolledBack: 0, destroyed: 0, failed: 0 }

/** Destroys one object, as an operator might or a crash between two creations leaves it. */
const DESTROY_BY_LABEL = `
p11.C_FindObjectsInit(session, [{ type: 3, value: input.label }])
const [found] = p11.C_FindObjects(session, 1)
p11.C_FindObjectsFinal(session)
p11.C_DestroyObject(session, found)
`

describeWith([SOFTHSM_MODULE], 'the whole core on SoftHSM and SQLite', () => {
  let softHsm: SoftHsm
  let provider: Pkcs11Provider
  let fixture: ReturnType<typeof kmsOn<Awaited<ReturnType<typeof openSqliteStore>>, Pkcs11Provider>>

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken('kms')
    provider = await startProvider(settingsFor('kms'))
    const store = await openSqliteStore({ path: join(softHsm.directory, 'store.sqlite') })
    fixture = kmsOn(store, provider)
  })
  afterAll(async () => {
    await provider?.close()
    await fixture?.store.close()
    softHsm?.remove()
  })

  const byId = (key: MasterKey) => ({ kind: 'id', keyId: key.keyId }) as const
  const presence = (key: MasterKey) => {
    const [version] = key.versions
    if (!version) throw new Error('a key has a version')
    return provider.findMasterKey(tokenRef(key, version), within())
  }

  it('ENV-7 refuses a blob of the token with any one byte changed, in both seal modes', async () => {
    const { kms } = fixture
    const key = await kms.createKey(call(), {})
    const encryptionContext = new Map([['app', 'test']])
    const input = { key: byId(key), lengthBytes: 32, encryptionContext }
    const [outside, inside] = [
      await kms.generateDataKey(call(), input),
      await kms.generateDataKeyWithoutPlaintext(call(), input),
    ]
    for (const { blob } of [outside, inside]) {
      const answers = new Set<string>()
      for (let i = 0; i < blob.length; i++) {
        const changed = Buffer.from(blob).fill((blob[i] ?? 0) ^ 0x10, i, i + 1)
        const error = await kms.decrypt(call(), { blob: changed, encryptionContext }).catch((e) => e)
        answers.add(`${error.code}: ${error.message}`)
      }
      expect([...answers]).toEqual(['CIPHERTEXT_INVALID: The ciphertext is not valid.'])
      expect((await kms.decrypt(call(), { blob, encryptionContext })).plaintext).toHaveLength(32)
    }
  })

  it('destroys the objects when the deletion window ends, and not a day before', async () => {
    const { kms, clock, maintenance } = fixture
    const [doomed, spared] = [await kms.createKey(call(), {}), await kms.createKey(call(), {})]
    expect(await presence(doomed)).toBe('present')
    await kms.scheduleKeyDeletion(call(), doomed.keyId, 7)
    await kms.scheduleKeyDeletion(call(), spared.keyId, 7)
    clock.advance(6 * DAY_MS)
    await maintenance.run(0)
    expect(await presence(doomed)).toBe('present')
    await kms.cancelKeyDeletion(call(), spared.keyId)
    clock.advance(DAY_MS + 1000)
    expect(await maintenance.run(0)).toEqual(NOTHING)
    expect(await presence(doomed)).toBe('present')
    clock.advance(GRACE_MS)
    expect(await maintenance.run(0)).toEqual({ ...NOTHING, destroyed: 1 })
    expect(await presence(doomed)).toBe('absent')
    expect(await presence(spared)).toBe('present')
    await kms.enableKey(call(), spared.keyId)
    expect(
      (await kms.generateDataKey(call(), { key: byId(spared), lengthBytes: 16 })).plaintext,
    ).toHaveLength(16)
  })

  it('keeps the objects of a multi-region key until its last region is gone', async () => {
    const { kms, clock, maintenance, store } = fixture
    const away = () => ({ ...call(), principal: { ...ALICE, region: 'eu-central-1' } })
    const key = await kms.createKey(call(), { multiRegion: true })
    await kms.replicateKey(call(), { keyId: key.keyId, region: 'eu-central-1' })
    const input = { key: byId(key), lengthBytes: 32 }
    const made = await kms.generateDataKeyWithoutPlaintext(call(), input)
    await kms.rotateKeyOnDemand(call(), key.keyId)
    const there = await kms.generateDataKey(away(), input)
    expect((await kms.decrypt(away(), { blob: made.blob })).plaintext).toHaveLength(32)
    expect((await kms.decrypt(call(), { blob: there.blob })).plaintext).toEqual(there.plaintext)
    await kms.scheduleKeyDeletion(call(), key.keyId, 7)
    await kms.scheduleKeyDeletion(away(), key.keyId, 7)
    for (const present of ['present', 'absent']) {
      clock.advance(8 * DAY_MS)
      await maintenance.run(0)
      clock.advance(GRACE_MS)
      await maintenance.run(0)
      expect(await presence(key)).toBe(present)
    }
    const states = (await store.listRegions(key.keyId)).map(({ state }) => state)
    expect(states).toEqual(['Deleted', 'Deleted'])
  })

  it('finishes a creation that was cut off after the token, and rolls one back that was cut off in it', async () => {
    const { kms, store, maintenance } = fixture
    const cutOff: MasterKey[] = []
    const replaceKey = store.replaceKey.bind(store)
    store.replaceKey = async (key) => {
      cutOff.push(key)
      throw new Error('the process died here')
    }
    await expect(kms.createKey(call(), {})).rejects.toThrow('died here')
    await expect(kms.createKey(call(), {})).rejects.toThrow('died here')
    store.replaceKey = replaceKey
    const [whole, half] = cutOff
    if (!whole || !half) throw new Error('both creations came that far')
    inOtherProcess('kms', DESTROY_BY_LABEL, { label: `kms/${half.keyId}/v1/wrap` })
    expect(await presence(half)).toBe('partial')
    const before = fixture.clock.now() + 1
    expect(await maintenance.run(before)).toEqual({ ...NOTHING, finished: 1, rolledBack: 1 })
    expect(await presence(half)).toBe('absent')
    const made = await kms.generateDataKey(call(), { key: byId(whole), lengthBytes: 32 })
    expect((await kms.decrypt(call(), { blob: made.blob })).plaintext).toEqual(made.plaintext)
  })
})
