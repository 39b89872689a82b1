import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Pkcs11TokenSettings } from '../../src/providers/pkcs11/settings.ts'
import { settingsFor, USER_PIN } from './softhsm.ts'

/** Where distributions put NSS softokn, after Debian's multiarch names. */
const PLACES = [
  '/usr/lib/x86_64-linux-gnu/libsoftokn3.so',
  '/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so',
  '/usr/lib/aarch64-linux-gnu/libsoftokn3.so',
  '/usr/lib/aarch64-linux-gnu/nss/libsoftokn3.so',
  '/usr/lib64/libsoftokn3.so',
  '/usr/lib/libsoftokn3.so',
] as const
export const NSS_MODULE = process.env['NSS_MODULE'] ?? PLACES.find((path) => existsSync(path)) ?? PLACES[0]

const ROOT = new URL('../..', import.meta.url)

/** What `certutil -N` does: an NSS database gets its password as the PIN of its user, the first time without an SO PIN. */
const INIT_DATABASE = `
const { default: pkcs11js } = await import('pkcs11js')
const [module, libraryParameters] = process.argv.slice(1)
const p11 = new pkcs11js.PKCS11()
p11.load(module)
p11.C_Initialize({ flags: 2, libraryParameters: libraryParameters + ' ' })
const slot = p11.C_GetSlotList(true).find((one) => p11.C_GetTokenInfo(one).label.startsWith('NSS Certificate DB'))
const session = p11.C_OpenSession(slot, 6)
p11.C_Login(session, 0, '')
p11.C_InitPIN(session, process.env.USER_PIN)
p11.C_Finalize()
`

/** An NSS database in a folder of its own. */
export interface Nss {
  /** Settings for its token, under the name `main`. */
  settings(overrides?: Partial<Pkcs11TokenSettings>): Pkcs11TokenSettings
  remove(): void
}

/** Makes an NSS database with the user PIN of the tests. */
export function makeNss(): Nss {
  const folder = mkdtempSync(join(tmpdir(), 'p11kms-nss-'))
  const database = join(folder, 'db')
  mkdirSync(database)
  const libraryParameters = `configdir='sql:${database}' certPrefix='' keyPrefix='' secmod='secmod.db' flags= `
  const args = ['--input-type=module', '-e', INIT_DATABASE, NSS_MODULE, libraryParameters]
  execFileSync(process.execPath, args, { cwd: ROOT, env: { ...process.env, USER_PIN, NODE_OPTIONS: '' } })
  return {
    settings: (overrides) =>
      settingsFor('NSS Certificate DB', { module: NSS_MODULE, libraryParameters, ...overrides }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
