import type { Logger } from 'pino'
import { type App, startApp } from './app.ts'
import { readFirstSecrets } from './config/first-secrets.ts'
import { findSofthsmModule, type Home, prepareHome, writeEnvFile } from './config/home.ts'
import { type ConfigCheck, loadConfig } from './config/load.ts'
import { readSecret } from './config/secrets.ts'
import { connectionsOf } from './config/token-schema.ts'
import { isKmsError } from './core/errors.ts'
import type { MasterKey } from './core/key.ts'
import { type CallContext, newTrail } from './core/kms-context.ts'
import { invariant } from './lib/invariant.ts'
import { ensureToken } from './providers/pkcs11/token-admin.ts'

const DEMO_ALIAS = 'alias/demo'
const FIRST_KEY_TIMEOUT_MS = 10_000
const SEED_TIMEOUT_MS = 60_000

export interface QuickstartSettings {
  /** Absolute path of the folder that everything goes to. */
  readonly folder: string
  readonly environment: NodeJS.ProcessEnv
  readonly checks: readonly ConfigCheck[]
  readonly host: string | undefined
  readonly port: number | undefined
}

/** A gateway with everything that a first user needs. */
export interface Quickstart {
  readonly app: App
  readonly home: Home
  readonly keyId: string
  readonly drainTimeoutMs: number
}

/**
 * Makes what is missing of a home (a SoftHSM token with random PINs, credentials, a configuration), serves from it, makes a
 * first key with an alias, and writes the env file. What is there already stays as it is.
 */
export async function startQuickstart(settings: QuickstartSettings, logger: Logger): Promise<Quickstart> {
  const { folder, environment } = settings
  const first = readFirstSecrets(environment)
  const home = prepareHome(folder, () => findSofthsmModule(environment), first)
  const loaded = loadConfig(home.configFile, environment, settings.checks)
  logger.level = loaded.log.level
  const [token] = loaded.tokens
  invariant(token, 'the schema asks for a token')
  for (const { connection } of connectionsOf(loaded)) Object.assign(process.env, connection.environment)
  const soPin = readSecret({ file: home.soPinFile })
  const userPin = readSecret({ file: home.userPinFile })
  try {
    const serial = await ensureToken({ module: token.module, label: home.tokenLabel, soPin, userPin })
    logger.debug({ serial }, 'the token is there')
  } finally {
    soPin.fill(0)
    userPin.fill(0)
  }
  const { host = loaded.server.host, port = loaded.server.port } = settings
  let isComplete = false
  const health = () => (isComplete ? undefined : { ok: false, reason: 'The first key is not made yet.' })
  const config = { ...loaded, server: { ...loaded.server, host, port } }
  const app = await startApp(config, logger, undefined, { health })
  try {
    await seeded(app)
    const key = await ensureFirstKey(app, home)
    writeEnvFile(home, app.endpoint, key.keyId)
    isComplete = true
    return { app, home, keyId: key.keyId, drainTimeoutMs: loaded.server.drainTimeoutMs }
  } catch (error) {
    await app.close()
    throw error
  }
}

/** Whoever starts a quick start waits for its keys; the log says what they wait for. */
async function seeded(app: App): Promise<void> {
  const late = new Error(
    `The keys of the seed could not be made within ${SEED_TIMEOUT_MS / 1000} seconds; see the log.`,
  )
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(late), SEED_TIMEOUT_MS)
  await Promise.race([app.seeded, promise]).finally(() => clearTimeout(timer))
}

async function ensureFirstKey(app: App, home: Home): Promise<MasterKey> {
  const { accountId, accessKeyId, region } = home
  const context = (): CallContext => ({
    principal: { accountId, accessKeyId, region },
    deadlineAt: Date.now() + FIRST_KEY_TIMEOUT_MS,
    trail: newTrail(),
  })
  try {
    return await app.kms.describeKey(context(), { kind: 'alias', alias: DEMO_ALIAS })
  } catch (error) {
    if (!isKmsError(error, 'ALIAS_NOT_FOUND')) throw error
  }
  const key = await app.kms.createKey(context(), { description: 'A first key, made by the quick start' })
  await app.kms.createAlias(context(), DEMO_ALIAS, { kind: 'id', keyId: key.keyId })
  return key
}
