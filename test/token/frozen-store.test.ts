import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { tokenRef } from '../../src/core/find-key.ts'
import type { KeyVersion, MasterKey } from '../../src/core/key.ts'
import { DAY_MS } from '../../src/lib/clock.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { MIGRATIONS } from '../../src/store/migrations/index.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { FROZEN_LABEL, type FrozenStore, thaw } from '../support/frozen-store.ts'
import { ALICE, call, GRACE_MS, kmsOn, PAIR_TIMEOUT_MS, VERSION_INTERVAL_MS } from '../support/kms-fixture.ts'
import {
  describeWith,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'
import { wrapMaterial } from '../support/wrap-material.ts'

const IMPORT_WRAPPING = 'RSAES_OAEP_SHA_1'
const HOME = { accountId: ALICE.accountId, region: ALICE.region }
/** Longer than anything is left in the making. */
const CUT_SHORT_MS = 61_000 + PAIR_TIMEOUT_MS
const bytes = (base64: string) => Buffer.from(base64, 'base64')
const byId = (keyId: string) => ({ kind: 'id', keyId }) as const

describeWith([SOFTHSM_MODULE], 'a store of schema version 13, with its token', () => {
  let softHsm: SoftHsm
  let provider: Pkcs11Provider
  let frozen: FrozenStore
  let fixture: ReturnType<typeof kmsOn<Awaited<ReturnType<typeof openSqliteStore>>, Pkcs11Provider>>

  beforeEach(async () => {
    softHsm = makeSoftHsm()
    const path = join(softHsm.directory, 'store.sqlite')
    frozen = thaw(path, softHsm.tokens)
    provider = await startProvider(settingsFor(FROZEN_LABEL))
    fixture = kmsOn(await openSqliteStore({ path }), provider)
  })
  afterEach(async () => {
    await provider?.close()
    await fixture?.store.close()
    softHsm?.remove()
  })

  const stored = async (keyId: string, region = ALICE.region): Promise<MasterKey> => {
    const key = await fixture.store.getKey(region, keyId)
    if (!key) throw new Error(`there is no key ${keyId}`)
    return key
  }
  /** For each version of a key whether the token has objects of it. */
  const inToken = async (keyId: string) => {
    const key = await stored(keyId)
    const find = (version: KeyVersion) => provider.findMasterKey(tokenRef(key, version), within())
    return (await Promise.all(key.versions.map(find))).map((presence) => presence !== 'absent')
  }
  const opens = async (blob: string, plaintext: string, more: object = {}) => {
    const opened = await fixture.kms.decrypt(call(), { blob: bytes(blob), ...more })
    expect(opened.plaintext.toString('base64')).toBe(plaintext)
  }
  const seals = async (keyId: string) => {
    const { blob, plaintext } = await fixture.kms.generateDataKey(call(), {
      key: byId(keyId),
      lengthBytes: 32,
    })
    await opens(blob.toString('base64'), plaintext.toString('base64'))
  }
  const bring = async (keyId: string, material: string) => {
    const wanted = { keyId, algorithm: IMPORT_WRAPPING, spec: 'RSA_2048', waitMs: 5000 } as const
    const { importToken, publicKey } = await fixture.kms.getParametersForImport(call(), wanted)
    const wrapped = wrapMaterial(IMPORT_WRAPPING, publicKey, bytes(material))
    return fixture.kms.importKeyMaterial(call(), { keyId, importToken, wrapped })
  }

  it('opens what symmetric keys sealed, goes on sealing and is rotated', async () => {
    const { keyId, blobs, context } = frozen.symmetric
    const { kms, store } = fixture
    expect(await store.schemaVersion()).toBe(MIGRATIONS.length)
    const encryptionContext = new Map(context)
    for (const [blob, plaintext] of blobs) await opens(blob, plaintext, { encryptionContext })
    await seals(keyId)
    expect((await kms.rotateKeyOnDemand(call(), keyId)).versions).toHaveLength(3)
    await seals(keyId)
    for (const [blob, plaintext] of blobs) await opens(blob, plaintext, { encryptionContext })
    expect(await kms.getKeyRotationStatus(call(), keyId)).toMatchObject({ enabled: true, periodDays: 90 })
  })

  it('has what belongs to a key, and its policy as that of AWS alone', async () => {
    const { keyId, policy, tags, grantId, grantToken, blobs, context } = frozen.symmetric
    const { kms } = fixture
    expect((await kms.describeKey(call(), byId(keyId))).description).toBe('of payments')
    const { rows } = await kms.listResourceTags(call(), keyId, { limit: 10 })
    expect(rows).toEqual(expect.arrayContaining([...tags]))
    const both = () =>
      Promise.all((['AWS', 'RAM'] as const).map((one) => kms.getKeyPolicy(call(), keyId, one)))
    expect(await both()).toEqual([policy, undefined])
    const ram = JSON.stringify({
      Version: '1',
      Statement: [
        { Effect: 'Allow', Principal: { RAM: ['acs:ram::12345:*'] }, Action: 'kms:*', Resource: '*' },
      ],
    })
    await kms.putKeyPolicy(call(), keyId, { language: 'RAM', policy: ram })
    expect(await both()).toEqual([policy, ram])
    const grants = await kms.listGrants(call(), keyId, { limit: 10 })
    expect(grants.rows.map((grant) => grant.grantId)).toEqual([grantId])
    const [first] = blobs
    if (!first) throw new Error('something was sealed')
    const input = { blob: bytes(first[0]), encryptionContext: new Map(context) }
    await kms.decrypt({ ...call(), grantTokens: [grantToken] }, input)
    await kms.updateAlias(call(), 'alias/second', byId(frozen.states.guarded), { sameKind: true })
    const aliases = await kms.listAliases(call(), { limit: 10 })
    expect(aliases.rows.map((alias) => [alias.name, alias.keyId])).toEqual([
      ['alias/first', keyId],
      ['alias/second', frozen.states.guarded],
    ])
    expect(await fixture.store.getCanary(frozen.canary.versionId)).toBe('a canary of before')
  })

  it('verifies what key pairs signed, signs and agrees with them, and gives them more versions', async () => {
    const { kms, clock } = fixture
    clock.advance(VERSION_INTERVAL_MS)
    for (const { keyId, algorithm, message, signature, publicKey } of frozen.signing) {
      const input = { key: byId(keyId), algorithm, kind: 'message', message: bytes(message) } as const
      await kms.verify(call(), { ...input, signature: bytes(signature) })
      expect((await kms.getPublicKey(call(), byId(keyId))).publicKey.toString('base64')).toBe(publicKey)
      const { version } = await kms.createKeyVersion(call(), { key: byId(keyId), waitMs: 5000 })
      for (const versionId of [undefined, version.versionId]) {
        const signed = await kms.sign(call(), { ...input, versionId })
        await kms.verify(call(), { ...input, versionId, signature: signed.signature })
      }
      expect((await kms.getPublicKey(call(), byId(keyId))).publicKey.toString('base64')).toBe(publicKey)
    }
    const { rsa, agreement, mac } = frozen
    await opens(rsa.blob, rsa.plaintext, { key: byId(rsa.keyId), algorithm: rsa.algorithm })
    const peer = { key: byId(agreement.keyId), algorithm: 'ECDH', publicKey: bytes(agreement.peer) }
    expect((await kms.deriveSharedSecret(call(), peer)).secret.toString('base64')).toBe(agreement.secret)
    const said = { key: byId(mac.keyId), algorithm: mac.algorithm, message: bytes(mac.message) }
    await kms.verifyMac(call(), { ...said, mac: bytes(mac.mac) })
  })

  it('opens what imported material sealed, lets it go and takes it again', async () => {
    const { imported, waiting } = frozen
    const { kms } = fixture
    for (const [blob, plaintext] of imported.blobs) await opens(blob, plaintext)
    await seals(imported.keyId)
    await kms.deleteImportedKeyMaterial(call(), imported.keyId, undefined)
    expect(await inToken(imported.keyId)).toEqual([true, false])
    await bring(imported.keyId, imported.material[1])
    for (const [blob, plaintext] of imported.blobs) await opens(blob, plaintext)
    const { keyId, importToken, wrapped } = waiting
    const input = { keyId, importToken: bytes(importToken), wrapped: bytes(wrapped) }
    expect((await kms.importKeyMaterial(call(), input)).key.state).toBe('Enabled')
    await seals(keyId)
  })

  it('destroys material of before when its time is over, and takes it again', async () => {
    const { keyId, material, blob, plaintext } = frozen.expiring
    await opens(blob, plaintext)
    fixture.clock.advance(31 * DAY_MS)
    await expect(opens(blob, plaintext)).rejects.toMatchObject({ code: 'KEY_STATE_INVALID' })
    await fixture.imports.run()
    expect(await inToken(keyId)).toEqual([false])
    expect((await bring(keyId, material)).key.state).toBe('Enabled')
    await opens(blob, plaintext)
  })

  it('finishes what was cut short, a key pair with the public key of its token', async () => {
    const { rotation, blob, plaintext, creation } = frozen.cutShort
    fixture.clock.advance(CUT_SHORT_MS)
    await fixture.rotation.run()
    expect((await stored(rotation)).versions).toHaveLength(2)
    await opens(blob, plaintext)
    await seals(rotation)
    const { finished, failed } = await fixture.maintenance.run(fixture.clock.now())
    expect({ finished, failed }).toEqual({ finished: 1, failed: 0 })
    const input = {
      key: byId(creation),
      algorithm: 'ECDSA_SHA_256',
      kind: 'message',
      message: bytes('AAAA'),
    } as const
    const { signature } = await fixture.kms.sign(call(), input)
    await fixture.kms.verify(call(), { ...input, signature })
  })

  it('keeps states, regions and access, and destroys what is due with its objects', async () => {
    const { kms, clock, maintenance, store } = fixture
    const { disabled, going, guarded } = frozen.states
    await expect(kms.scheduleKeyDeletion(call(), guarded, 7)).rejects.toMatchObject({ code: 'KEY_PROTECTED' })
    await kms.enableKey(call(), disabled)
    await seals(disabled)
    const away = { ...call(), principal: { ...ALICE, region: 'eu-central-1' } }
    const opened = await kms.decrypt(away, { blob: bytes(frozen.multiRegion.blob) })
    expect(opened.plaintext.toString('base64')).toBe(frozen.multiRegion.plaintext)
    const { clientKeyId, publicKey } = frozen.access
    expect((await store.access.getClientKey(clientKeyId))?.publicKey.toString('base64')).toBe(publicKey)
    const named = { ...HOME, name: 'policy' }
    await store.access.changeAccessPolicy(named, (before) => ({ ...before, instance: 'kst-1' }))
    const policy = await store.access.getAccessPolicy(named)
    expect(policy).toMatchObject({ description: 'p', resources: ['key/*'], instance: 'kst-1' })
    // Material from before imports had ids goes with its key as well.
    const { keyId } = frozen.imported
    expect([...(await inToken(going)), ...(await inToken(keyId))]).toEqual([true, true, true])
    await kms.scheduleKeyDeletion(call(), keyId, 7)
    clock.advance(8 * DAY_MS)
    await maintenance.run(0)
    clock.advance(GRACE_MS)
    expect(await maintenance.run(0)).toMatchObject({ destroyed: 2, failed: 0 })
    expect([...(await inToken(going)), ...(await inToken(keyId))]).toEqual([false, false, false])
  })
})
