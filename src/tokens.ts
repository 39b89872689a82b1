import type { Logger } from 'pino'
import { type SecretSource } from './config/common-schema.ts'
import { readSecret } from './config/secrets.ts'
import { type ConnectionConfig, connectionsOf, type TokenConfig } from './config/token-schema.ts'
import type { KeyStore, TokenUse } from './core/ports/key-store.ts'
import { type HaStore, startHaToken } from './providers/pkcs11/ha-token.ts'
import { Pkcs11Provider } from './providers/pkcs11/provider.ts'
import type { AttemptEnd, Pkcs11ProviderEvents, Pkcs11TokenSettings } from './providers/pkcs11/settings.ts'
import { type ServedToken, singleToken, TokenSet } from './providers/pkcs11/token-set.ts'

/** Lets one of several processes at a time give a token its PIN, and none a PIN that was refused. */
export interface Logins {
  /** Waits for this process's turn. False when the token refused `pin` before. */
  mayTryPin(token: string, pin: Buffer): Promise<boolean>
  onAttemptEnded(token: string, ended: AttemptEnd): void
}

/**
 * Starts what serves each configured token. A token that is absent is no reason to fail: calls are answered as retryable
 * until it appears.
 *
 * @param onFatal - Only a new process helps.
 * @param logins - Where other processes log in to the same tokens: says when it is this one's turn.
 */
export async function startTokens(
  configs: readonly TokenConfig[],
  store: HaStore,
  log: Logger,
  onFatal: (error: Error) => void,
  logins?: Logins,
): Promise<TokenSet> {
  // The modules read these with getenv, so they must be set before a worker loads one.
  for (const { connection } of connectionsOf({ tokens: [...configs] }))
    Object.assign(process.env, connection.environment)
  const starts = configs.map(
    async (config) => [config.name, await startToken(config, store, { log, onFatal }, logins)] as const,
  )
  const settled = await Promise.allSettled(starts)
  const started = settled.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  const set = new TokenSet(new Map(started))
  const failed = settled.find((start) => start.status === 'rejected')
  if (!failed) return set
  await set.close()
  throw failed.reason
}

async function startToken(
  config: TokenConfig,
  store: HaStore,
  { log, onFatal }: { readonly log: Logger; readonly onFatal: (error: Error) => void },
  logins: Logins | undefined,
): Promise<ServedToken> {
  const { name, replica, allowHostMemory, pairTimeoutMs } = config
  // What is agreed for both, whichever serves.
  const shared = { allowHostMemory, pairTimeoutMs }
  const eventsOf = (own: Logger, login: string): Pkcs11ProviderEvents => ({
    log: own,
    onFatal,
    onAttemptEnded: (ended) => logins?.onAttemptEnded(login, ended),
  })
  const primary = { ...settingsOf(name, config, name, logins), ...shared }
  const events = eventsOf(log, name)
  if (!replica) return singleToken(name, await Pkcs11Provider.start(primary, events))
  const { failbackDelayMs, proveIntervalMs } = replica
  const login = `${name}/replica`
  const settings = { ...settingsOf(name, replica, login, logins), ...shared }
  return startHaToken(
    { primary, replica: settings, failbackDelayMs, proveIntervalMs },
    store,
    events,
    eventsOf(log.child({ member: 'replica' }), login),
  )
}

/**
 * Looks for keys whose token is not configured (any more), and says so: they cannot be used, and nothing else would tell
 * before somebody needs one.
 */
export async function findStrayTokens(
  store: KeyStore,
  configs: readonly TokenConfig[],
  log: Logger,
): Promise<readonly TokenUse[]> {
  const names = new Set(configs.map(({ name }) => name))
  const strays = (await store.listTokens()).filter(({ token }) => !names.has(token))
  for (const { token, keys, keyId } of strays) {
    log.error(
      { token, keys, keyId, hint: 'Configure the token under that name again, or delete its keys.' },
      'keys cannot be used: no token of that name is configured',
    )
  }
  return strays
}

/** @param login - What `logins` knows this connection by. */
function settingsOf(
  name: string,
  config: ConnectionConfig,
  login: string,
  logins: Logins | undefined,
): Omit<Pkcs11TokenSettings, 'pairTimeoutMs'> {
  const { module, label, serial, uri, lanes, queueMax, laneTimeoutMs, lostLanesMax } = config
  const { reconnectDelayMs, moduleRestartIntervalMs, libraryParameters, userType } = config
  return {
    name,
    module,
    select: { ...(label && { label }), ...(serial && { serial }), ...(uri && { uri }) },
    queueMax,
    laneTimeoutMs,
    lostLanesMax,
    reconnectDelayMs,
    moduleRestartIntervalMs,
    readPin: pinReader(config.pin),
    ...(logins && { mayTryPin: (pin: Buffer) => logins.mayTryPin(login, pin) }),
    lanes: { crypto: lanes },
    ...(libraryParameters !== undefined && { libraryParameters }),
    ...(userType !== 'user' && { userType }),
  }
}

/** Reads the PIN anew for each connect; one from a descriptor, which can be read once, is kept. */
function pinReader(source: SecretSource): () => Promise<Buffer> {
  if (source.fd === undefined) return async () => readSecret(source)
  const kept = readSecret(source)
  return async () => Buffer.from(kept)
}
