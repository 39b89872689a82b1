import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { tokenRef } from '../../src/core/find-key.ts'
import type { MasterKey } from '../../src/core/key.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { call, kmsOn } from '../support/kms-fixture.ts'
import {
  describeWith,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

const DAY_MS = 86_400_000

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
    await maintenance.run(60_000)
    expect(await presence(doomed)).toBe('present')
    await kms.cancelKeyDeletion(call(), spared.keyId)
    clock.advance(DAY_MS + 1000)
    expect(await maintenance.run(60_000)).toEqual({ rolledBack: 0, destroyed: 1, failed: 0 })
    expect(await presence(doomed)).toBe('absent')
    expect(await presence(spared)).toBe('present')
    await kms.enableKey(call(), spared.keyId)
    expect(
      (await kms.generateDataKey(call(), { key: byId(spared), lengthBytes: 16 })).plaintext,
    ).toHaveLength(16)
  })

  it('rolls back a creation that was cut off between the token and the store', async () => {
    const { kms, store, maintenance } = fixture
    const replaceKey = store.replaceKey.bind(store)
    let cutOff: MasterKey | undefined
    store.replaceKey = async (key) => {
      cutOff = key
      throw new Error('the process died here')
    }
    await expect(kms.createKey(call(), {})).rejects.toThrow('died here')
    store.replaceKey = replaceKey
    if (!cutOff) throw new Error('the creation came that far')
    expect(await presence(cutOff)).toBe('present')
    expect(await maintenance.run(0)).toEqual({ rolledBack: 1, destroyed: 0, failed: 0 })
    expect(await presence(cutOff)).toBe('absent')
  })
})
