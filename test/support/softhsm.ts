import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'
import type { CallOptions, MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import type { Pkcs11Log, Pkcs11TokenSettings } from '../../src/providers/pkcs11/settings.ts'

export const SOFTHSM_MODULE = process.env['SOFTHSM2_MODULE'] ?? '/usr/lib/softhsm/libsofthsm2.so'
/** Where distributions put the spy of OpenSC, after Debian's multiarch names. */
const SPY_PLACES = [
  '/usr/lib/x86_64-linux-gnu/pkcs11-spy.so',
  '/usr/lib/aarch64-linux-gnu/pkcs11-spy.so',
  '/usr/lib64/pkcs11-spy.so',
  '/usr/lib64/pkcs11/pkcs11-spy.so',
  '/usr/lib/pkcs11-spy.so',
  '/usr/lib/pkcs11/pkcs11-spy.so',
] as const
export const SPY_MODULE =
  process.env['PKCS11SPY_MODULE'] ?? SPY_PLACES.find((path) => existsSync(path)) ?? SPY_PLACES[0]
const SO_PIN = 'so-5790132'
export const USER_PIN = 'user-8841207'

/** `describe` that is skipped, with the reason in its title, where one of `files` is missing; fails under REQUIRE_ALL=1. */
export function describeWith(files: readonly string[], title: string, suite: () => void): void {
  const missing = files.filter((file) => !existsSync(file))
  if (missing.length === 0 || process.env['REQUIRE_ALL'] === '1') describe(title, suite)
  else describe.skip(`${title} (skipped: ${missing.join(', ')} is missing)`, suite)
}

/** A SoftHSM with a directory and a configuration of its own. SoftHSM reads the environment in C_Initialize. */
export interface SoftHsm {
  readonly directory: string
  readonly tokens: string
  /** Makes a token in another process, as an operator would. @returns Its serial. */
  initToken(label: string): string
  /** Makes a token in another process where there is none of that label. @returns Its serial. */
  ensureToken(label: string): string
  /** Leaves what an `initToken` leaves that dies before it sets the user PIN. */
  initTokenHalfway(label: string): void
  remove(): void
}

/** Points SOFTHSM2_CONF of this process at a fresh, empty SoftHSM. */
export function makeSoftHsm(): SoftHsm {
  const directory = mkdtempSync(join(tmpdir(), 'p11kms-softhsm-'))
  const tokens = join(directory, 'tokens')
  const conf = join(directory, 'softhsm2.conf')
  mkdirSync(tokens)
  writeFileSync(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`)
  process.env['SOFTHSM2_CONF'] = conf
  return {
    directory,
    tokens,
    initToken: (label) => administerElsewhere(conf, label, 'initToken'),
    ensureToken: (label) => administerElsewhere(conf, label, 'ensureToken'),
    initTokenHalfway: (label) => {
      const args = ['--input-type=module', '-e', INIT_TOKEN_HALFWAY, SOFTHSM_MODULE, label]
      execFileSync(process.execPath, args, { cwd: ROOT, env: { ...process.env, SO_PIN, NODE_OPTIONS: '' } })
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}

const ROOT = new URL('../..', import.meta.url)

const ADMINISTER = `
const [admin, module, label, name] = process.argv.slice(1)
const { [name]: run } = await import(admin)
const [soPin, userPin] = [Buffer.from(process.env.SO_PIN), Buffer.from(process.env.USER_PIN)]
const made = await run({ module, label, soPin, userPin })
process.stdout.write(typeof made === 'string' ? made : made.serial)
`

const INIT_TOKEN_HALFWAY = `
const { default: pkcs11js } = await import('pkcs11js')
const p11 = new pkcs11js.PKCS11()
p11.load(process.argv[1])
p11.C_Initialize({ flags: 2 })
const free = p11.C_GetSlotList(true).find((slot) => !(p11.C_GetTokenInfo(slot).flags & 0x400))
p11.C_InitToken(free, process.env.SO_PIN, process.argv[2].padEnd(32))
p11.C_Finalize()
`

function administerElsewhere(conf: string, label: string, name: 'ensureToken' | 'initToken'): string {
  const admin = new URL('../../src/providers/pkcs11/token-admin.ts', import.meta.url).href
  const env = { ...process.env, SOFTHSM2_CONF: conf, SO_PIN, USER_PIN, NODE_OPTIONS: '' }
  const args = ['--input-type=module', '-e', ADMINISTER, admin, SOFTHSM_MODULE, label, name]
  return execFileSync(process.execPath, args, { env, encoding: 'utf8' }).trim()
}

const OTHER_PROCESS = `
const { default: pkcs11js } = await import('pkcs11js')
const [module, label, script, json] = process.argv.slice(1)
const input = JSON.parse(json)
const p11 = new pkcs11js.PKCS11()
p11.load(module)
p11.C_Initialize({ flags: 2 })
const slot = p11.C_GetSlotList(true).find((one) => p11.C_GetTokenInfo(one).label.trimEnd() === label)
const session = p11.C_OpenSession(slot, 6)
p11.C_Login(session, 1, process.env.USER_PIN)
let output = {}
eval(script)
p11.C_Finalize()
process.stdout.write(JSON.stringify(output))
`

/**
 * Runs Cryptoki calls in a process of their own, logged in to the token labelled `label`.
 *
 * @param script - JavaScript that sees `p11`, `session` and `input`, and may set `output`.
 * @returns What `output` was, through JSON.
 */
export function inOtherProcess(label: string, script: string, input: object): unknown {
  const args = [
    '--input-type=module',
    '-e',
    OTHER_PROCESS,
    SOFTHSM_MODULE,
    label,
    script,
    JSON.stringify(input),
  ]
  const env = { ...process.env, USER_PIN, NODE_OPTIONS: '' }
  return JSON.parse(execFileSync(process.execPath, args, { cwd: ROOT, env, encoding: 'utf8' }))
}

/** Every line that was logged, so that a test can search them. */
export class LogRecorder implements Pkcs11Log {
  readonly lines: string[] = []
  readonly info = (fields: object, message: string) => this.#add('info', fields, message)
  readonly warn = (fields: object, message: string) => this.#add('warn', fields, message)
  readonly error = (fields: object, message: string) => this.#add('error', fields, message)

  #add(level: string, fields: object, message: string): void {
    this.lines.push(JSON.stringify({ level, ...fields, message }))
  }
}

/** Settings for the token labelled `label`, under the name `main`. */
export function settingsFor(
  label: string,
  overrides: Partial<Pkcs11TokenSettings> = {},
): Pkcs11TokenSettings {
  return {
    lanes: { crypto: 1 },
    queueMax: 1024,
    laneTimeoutMs: 10_000,
    pairTimeoutMs: 60_000,
    lostLanesMax: 4,
    name: 'main',
    module: SOFTHSM_MODULE,
    select: { label },
    readPin: async () => Buffer.from(USER_PIN),
    reconnectDelayMs: 50,
    moduleRestartIntervalMs: 500,
    ...overrides,
  }
}

export async function startProvider(
  settings: Pkcs11TokenSettings,
  log: Pkcs11Log = new LogRecorder(),
  onFatal: (error: Error) => void = (error) => {
    throw error
  },
): Promise<Pkcs11Provider> {
  return await Pkcs11Provider.start(settings, { log, onFatal })
}

/** Options of a call that has `ms` milliseconds. */
export function within(ms = 10_000): CallOptions {
  return { deadlineAt: Date.now() + ms }
}

/** A version of a key of its own. */
export function freshRef(): MasterKeyRef {
  return { token: 'main', keyId: crypto.randomUUID(), versionId: crypto.randomUUID(), versionNumber: 1 }
}

/** Waits until `condition` holds. @throws After `ms`. */
export async function eventually(condition: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const until = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > until) throw new Error('It did not come to hold in time.')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
