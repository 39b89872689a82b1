import { readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { isKmsError } from '../../src/core/errors.ts'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import { objectId } from '../../src/providers/pkcs11/object-names.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import type { Pkcs11TokenSettings } from '../../src/providers/pkcs11/settings.ts'
import { makeChaos } from '../support/p11chaos.ts'
import {
  describeWith,
  eventually,
  freshRef,
  inOtherProcess,
  LogRecorder,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

const AAD = Buffer.from('aad')
/** For `inOtherProcess`: destroys the token objects with these CKA_IDs. */
const DESTROY = `
const found = input.ids.flatMap((id) => {
  p11.C_FindObjectsInit(session, [{ type: 0x102, value: Buffer.from(id, 'hex') }])
  const handles = p11.C_FindObjects(session, 4)
  p11.C_FindObjectsFinal(session)
  return handles
})
for (const handle of found) p11.C_DestroyObject(session, handle)
output = { destroyed: found.length }
`
/** Longer than any test. */
const NEVER_MS = 3_600_000

describeWith([SOFTHSM_MODULE], 'several tokens of one module', () => {
  let softHsm: SoftHsm
  let running: Pkcs11Provider[] = []
  const refIn = (token: string): MasterKeyRef => ({ ...freshRef(), token })
  const start = async (name: string, overrides: Partial<Pkcs11TokenSettings> = {}, log?: LogRecorder) => {
    const provider = await startProvider({ ...settingsFor(name, overrides), name }, log)
    running.push(provider)
    return provider
  }
  /** Folder of the token with that label. */
  const folderOf = (label: string): string => {
    const holds = (folder: string) =>
      readFileSync(join(softHsm.tokens, folder, 'token.object')).includes(label.padEnd(32))
    const name = readdirSync(softHsm.tokens).find(holds)
    if (!name) throw new Error(`no folder of ${label}`)
    return join(softHsm.tokens, name)
  }
  /** Uses a key again and again until stopped. */
  const use = (provider: Pkcs11Provider, ref: MasterKeyRef) => {
    const stop = new AbortController()
    const failures: unknown[] = []
    const done = (async () => {
      let served = 0
      while (!stop.signal.aborted) {
        try {
          const sealed = await provider.sealRandom(ref, 32, AAD, within())
          expect(await provider.open(ref, 'W0', sealed, AAD, within())).toEqual(sealed.plaintext)
          served += 1
        } catch (error) {
          failures.push(error)
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      }
      return served
    })()
    const end = async () => {
      stop.abort()
      return { served: await done, failures }
    }
    return { end }
  }

  beforeEach(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('one')
    softHsm.initToken('two')
  })

  afterEach(async () => {
    await Promise.all(running.map((provider) => provider.close()))
    running = []
    softHsm.remove()
  })

  it('one serves on without a single failure while the other is gone and is looked for', async () => {
    const [one, two] = [await start('one', { moduleRestartIntervalMs: NEVER_MS }), await start('two')]
    const [gone, kept] = [refIn('one'), refIn('two')]
    await one.createMasterKey(gone, within())
    await two.createMasterKey(kept, within())
    const work = use(two, kept)
    const folder = folderOf('one')
    renameSync(folder, `${softHsm.directory}/one.gone`)
    await expect(one.sealRandom(gone, 32, AAD, within())).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    await eventually(() => (one.status().reason ?? '').startsWith('No token'))
    await new Promise((resolve) => setTimeout(resolve, 500))
    const { served, failures } = await work.end()
    expect(failures).toEqual([])
    expect(served).toBeGreaterThan(10)
    expect(two.status()).toMatchObject({ state: 'up', generation: 1 })
  })

  it('one that comes back is found by initializing the module anew: the other fails retryably at most, and is back', async () => {
    const [one, two] = [await start('one'), await start('two')]
    const [gone, kept] = [refIn('one'), refIn('two')]
    await one.createMasterKey(gone, within())
    await two.createMasterKey(kept, within())
    const sealed = await one.sealRandom(gone, 32, AAD, within())
    const work = use(two, kept)
    const folder = folderOf('one')
    renameSync(folder, `${softHsm.directory}/one.gone`)
    await expect(one.sealRandom(gone, 32, AAD, within())).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    // The module was initialized without the token: only another initialization shows it.
    await eventually(() => two.status().generation >= 2)
    renameSync(`${softHsm.directory}/one.gone`, folder)
    const opens = async () =>
      (await one.open(gone, 'W0', sealed, AAD, within()).catch(() => Buffer.alloc(0))).equals(
        sealed.plaintext,
      )
    await eventually(opens, 20_000)
    await eventually(() => two.status().state === 'up')
    await two.sealRandom(kept, 32, AAD, within())
    const { served, failures } = await work.end()
    expect(served).toBeGreaterThan(10)
    for (const failure of failures) expect(isKmsError(failure, 'TOKEN_UNAVAILABLE')).toBe(true)
  })

  it('one reconnects by itself although another process destroyed the key that it found last', async () => {
    const chaos = makeChaos(softHsm)
    const patient = { module: chaos.module, moduleRestartIntervalMs: NEVER_MS }
    const [one, two] = [await start('one', patient), await start('two', patient)]
    const [kept, destroyed] = [refIn('one'), refIn('one')]
    await one.createMasterKey(kept, within())
    await one.createMasterKey(destroyed, within())
    const ids = (['enc', 'wrap'] as const).map((role) => objectId(destroyed, role).toString('hex'))
    expect(inOtherProcess('one', DESTROY, { ids })).toEqual({ destroyed: 2 })
    chaos.set('fail C_EncryptInit CKR_USER_NOT_LOGGED_IN times=1')
    await expect(one.sealRandom(kept, 32, AAD, within())).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    await eventually(() => one.status().generation === 2)
    await one.sealRandom(kept, 32, AAD, within())
    expect(two.status().generation).toBe(1)
  })

  it('one is closed and the other serves on', async () => {
    const [one, two] = [await start('one'), await start('two')]
    const kept = refIn('two')
    await two.createMasterKey(kept, within())
    const work = use(two, kept)
    await one.close()
    await two.createMasterKey(refIn('two'), within())
    expect((await work.end()).failures).toEqual([])
    expect(two.status().generation).toBe(1)
  })

  it('is one token under two names: the second is refused, and the first serves on', async () => {
    const log = new LogRecorder()
    const one = await start('one')
    const ref = refIn('one')
    await one.createMasterKey(ref, within())
    const twin = await startProvider({ ...settingsFor('one'), name: 'twin' }, log)
    running.push(twin)
    expect(twin.status()).toMatchObject({
      state: 'down',
      reason: 'The token is the one that is configured as "one" already.',
    })
    expect(log.lines.some((line) => line.includes('"level":"error"') && line.includes('already'))).toBe(true)
    await one.sealRandom(ref, 32, AAD, within())
  })
})
