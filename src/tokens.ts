import type { Logger } from 'pino'
import type { SecretSource, TokenConfig } from './config/schema.ts'
import { readSecret } from './config/secrets.ts'
import type { KeyStore, TokenUse } from './core/ports/key-store.ts'
import { Pkcs11Provider } from './providers/pkcs11/provider.ts'
import type { Pkcs11TokenSettings } from './providers/pkcs11/settings.ts'
import { singleToken, TokenSet } from './providers/pkcs11/token-set.ts'

/**
 * Starts what serves each configured token. A token that is absent is no reason to fail: calls are answered as retryable
 * until it appears.
 *
 * @param onFatal - Only a new process helps.
 */
export async function startTokens(
  configs: readonly TokenConfig[],
  log: Logger,
  onFatal: (error: Error) => void,
): Promise<TokenSet> {
  // The modules read these with getenv, so they must be set before a worker loads one.
  for (const { environment } of configs) Object.assign(process.env, environment)
  const starts = configs.map(async (config) => {
    const provider = await Pkcs11Provider.start(settingsOf(config), { log, onFatal })
    return [config.name, singleToken(config.name, provider)] as const
  })
  const settled = await Promise.allSettled(starts)
  const started = settled.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  const set = new TokenSet(new Map(started))
  const failed = settled.find((start) => start.status === 'rejected')
  if (!failed) return set
  await set.close()
  throw failed.reason
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

function settingsOf(config: TokenConfig): Pkcs11TokenSettings {
  const { name, module, label, serial, uri, lanes, queueMax, laneTimeoutMs, lostLanesMax, pairTimeoutMs } =
    config
  const { reconnectDelayMs, moduleRestartIntervalMs, allowHostMemory, libraryParameters, userType } = config
  return {
    name,
    module,
    select: { ...(label && { label }), ...(serial && { serial }), ...(uri && { uri }) },
    queueMax,
    laneTimeoutMs,
    pairTimeoutMs,
    lostLanesMax,
    reconnectDelayMs,
    moduleRestartIntervalMs,
    readPin: pinReader(config.pin),
    lanes: { crypto: lanes },
    allowHostMemory,
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
