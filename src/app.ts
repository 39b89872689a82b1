import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { Registry } from 'prom-client'
import { assembleClientAccess } from './client-access.ts'
import type { Config } from './config/schema.ts'
import { readSecret } from './config/secrets.ts'
import { InFlightLimit } from './core/in-flight-limit.ts'
import { KeyDirectory } from './core/key-directory.ts'
import { Kms } from './core/kms.ts'
import { LastUses } from './core/last-uses.ts'
import { Maintenance } from './core/maintenance.ts'
import { PairGate } from './core/pair-gate.ts'
import { PublicKeyProofs } from './core/public-key-proofs.ts'
import { countSeals } from './counted-seals.ts'
import { createInstanceFacade } from './http/alibaba/instance/facade.ts'
import { createOpenApiFacade } from './http/alibaba/openapi/facade.ts'
import { createAwsFacade } from './http/aws/facade.ts'
import { createStsFacade } from './http/aws/sts.ts'
import type { ComponentHealth } from './http/health.ts'
import { DEFAULT_SERVER_LIMITS } from './http/limits.ts'
import { buildServer } from './http/server.ts'
import { DAY_MS, SYSTEM_CLOCK } from './lib/clock.ts'
import { invariant } from './lib/invariant.ts'
import { NonceCache } from './lib/nonce-cache.ts'
import { RepeatedLog } from './lib/repeated-log.ts'
import { readinessOf } from './readiness.ts'
import { Seeding } from './seeding.ts'
import { acquireInstanceLock } from './store/instance-lock.ts'
import { openSqliteStore } from './store/sqlite.ts'
import type { FileWatch } from './store/watched-file.ts'
import { Teardown } from './teardown.ts'
import { Tending } from './tending.ts'
import { addTokenMetrics } from './token-metrics.ts'
import { findStrayTokens, startTokens } from './tokens.ts'
import { UseKeeper } from './use-keeper.ts'
import type { WorkerSeat } from './worker-seat.ts'

/** A gateway that serves. */
export interface App {
  /** Where it answers, `http://127.0.0.1:7711`. */
  readonly endpoint: string
  /** The operations themselves, for what the quick start makes before clients come. */
  readonly kms: Kms
  /** Resolves when everything that the seed asks for is there; at once without a seed. */
  readonly seeded: Promise<void>
  /** Settles when the gateway cannot go on in this process, with the reason. */
  readonly failed: Promise<Error>
  /** Whether a thread hangs inside the token's library: such a process cannot end by itself. */
  hangs(): boolean
  /** Refuses new connections, finishes requests in flight for at most `drainTimeoutMs`, then lets go of everything. */
  close(): Promise<void>
}

/** What is made through a gateway that serves already, which is not ready before. */
export interface FirstThings {
  /** Nothing once they are there. */
  health(): ComponentHealth | undefined
}

/** How often a readiness check that fails for the same reason is logged. */
const HEALTH_LOG_INTERVAL_MS = 60_000

/** Keys in the making at a time: enough to keep the one write lane busy, few enough to end in time. */
const CREATIONS = { max: 16, perAccountMax: 8 } as const

/**
 * Opens the store, reaches for the tokens, serves, and tends to what a crash left. A token that is absent is no reason
 * to fail: calls are answered as retryable until it appears.
 *
 * @param seat - Where this process is one of several workers.
 * @param firstThings - What the caller makes once this serves.
 * @throws StoreOpenError, ConfigError for a seed that the store can never serve, or the system's error when the address cannot be listened on. Nothing stays open then.
 */
export async function startApp(
  config: Config,
  logger: Logger,
  seat?: WorkerSeat,
  firstThings?: FirstThings,
): Promise<App> {
  const teardown = new Teardown()
  try {
    return await assemble(config, logger, seat, firstThings, teardown)
  } catch (error) {
    await teardown.run()
    throw error
  }
}

async function assemble(
  config: Config,
  logger: Logger,
  seat: WorkerSeat | undefined,
  firstThings: FirstThings | undefined,
  teardown: Teardown,
): Promise<App> {
  const lock = seat?.lock ?? (await lockStore(config, teardown))
  const lockedAt = seat?.lockedAt ?? SYSTEM_CLOCK.now()
  const store = await openSqliteStore({ path: config.store.path, lock })
  teardown.add(() => store.close())

  const clock = SYSTEM_CLOCK
  const lastUses = new LastUses({ store, clock })
  const keeper = new UseKeeper(lastUses, config.keys.lastUsageIntervalMs, logger)
  teardown.add(() => keeper.stop())

  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>()
  const [first] = config.tokens
  invariant(first, 'the schema asks for a token')
  const provider = await startTokens(config.tokens, store, logger, fail, seat)
  teardown.add(() => provider.close())
  const strays = await findStrayTokens(store, config.tokens, logger)

  const { cacheMaxAgeMs, cacheEntriesMax } = config.keys
  const cache = { maxAgeMs: cacheMaxAgeMs, entriesMax: cacheEntriesMax }
  const directory = new KeyDirectory(store, clock, cache, seat && ((row) => seat.tellPeers(row)))
  const pairTimeoutMs = pairTimeouts(config)
  const counted = countSeals(provider, store, directory, config.keys, logger, pairTimeoutMs)
  const kms = new Kms({
    store,
    imports: store.imports,
    provider: counted.provider,
    directory,
    clock,
    newId: randomUUID,
    creations: new InFlightLimit(CREATIONS),
    keyVersionIntervalMs: config.keys.keyVersionIntervalDays * DAY_MS,
    pairs: new PairGate({ leases: store, clock, newId: randomUUID, pairTimeoutMs }),
    publicKeys: new PublicKeyProofs({ provider, entriesMax: cacheEntriesMax }),
    regions: config.regions.map(({ name }) => name),
    lastUses,
    tokenForNewKeys: config.keys.tokenForNewKeys ?? first.name,
  })
  const seeding = new Seeding({ kms, store, log: logger }, config.seedKeys ?? [])
  await seeding.check()

  const { host, port, bodyBytesMax, connectionsMax, requestTimeoutMs, drainTimeoutMs } = config.server
  const metricsRegistry = new Registry()
  if (seat) metricsRegistry.setDefaultLabels({ worker: `${seat.worker}` })
  addTokenMetrics(metricsRegistry, () => provider.members())
  counted.addMetrics(metricsRegistry)
  const aws = awsSettings(config)
  const alibaba = alibabaSettings(config)
  const clientAccess = assembleClientAccess(config, store.access, clock, seat !== undefined)
  teardown.add(() => clientAccess.close())
  // The last one takes what no header tells apart.
  const facades = [
    createInstanceFacade({ kms, clock, credentials: clientAccess.directory, requestTimeoutMs }),
    createAwsFacade({ kms, clock, requestTimeoutMs, ...aws }),
    createStsFacade({ clock, ...aws }),
    createOpenApiFacade({
      kms,
      clients: clientAccess.operations,
      clock,
      nonces: seat?.nonces ?? new NonceCache(clock),
      requestTimeoutMs,
      ...alibaba,
    }),
  ]
  // The façades hold key objects now.
  for (const { credentials } of aws.accounts)
    for (const { secretAccessKey } of credentials) secretAccessKey.fill(0)
  for (const { credentials } of alibaba.accounts)
    for (const { accessKeySecret } of credentials) accessKeySecret.fill(0)
  const unmade = async (): Promise<Record<string, ComponentHealth>> => {
    const [seed, quickstart] = [await seeding.health(), firstThings?.health()]
    return { ...(seed && { seed }), ...(quickstart && { quickstart }) }
  }
  const healthLog = new RepeatedLog(logger, HEALTH_LOG_INTERVAL_MS)
  const server = buildServer({
    facades,
    logger,
    clock,
    limits: { ...DEFAULT_SERVER_LIMITS, bodyBytesMax, connectionsMax, requestTimeoutMs },
    health: {
      ready: async () => {
        const own = await readinessOf({
          store,
          provider: counted.provider,
          members: () => provider.members(),
          strays,
          log: healthLog,
          unmade,
        })
        return seat ? seat.readiness(own) : own
      },
    },
    metricsRegistry,
    ...(seat && {
      createServer: (options, listener) => seat.createServer(options, listener),
      exposition: (own) => seat.exposition(own),
    }),
  })
  const endpoint = await server.listen(seat ? { host: seat.host } : { host, port })
  teardown.add(() => drain(server, drainTimeoutMs, logger))
  logger.info({ endpoint, tokens: provider.members() }, seat ? 'ready to serve' : 'serving')
  const { destructionGraceMs } = config.keys
  const maintenance = new Maintenance({ store, provider, directory, clock, log: logger, destructionGraceMs })
  const tending = new Tending(config, maintenance, lockedAt, logger)
  teardown.add(() => tending.stop())
  counted.rotations.start()
  teardown.add(() => counted.rotations.stop())
  teardown.add(() => seeding.stop())
  // What a crash left of a key of the seed is finished first: maintenance could roll it back, and its id with it.
  const tend = () => {
    seeding.start()
    void seeding.done.then(() => tending.start())
  }
  if (seat) seat.take({ directory, metrics: metricsRegistry, tend })
  else tend()
  const hangs = () => provider.members().some(({ status }) => status.lanesHung > 0)
  return { endpoint, kms, seeded: seeding.done, failed, hangs, close: () => teardown.run() }
}

/** By name of the token. */
function pairTimeouts({ tokens }: Config): (token: string) => number {
  const timeouts = new Map(tokens.map(({ name, pairTimeoutMs }) => [name, pairTimeoutMs]))
  return (token) => timeouts.get(token) ?? 0
}

async function lockStore(config: Config, teardown: Teardown): Promise<FileWatch> {
  const lock = await acquireInstanceLock(config.store.path)
  teardown.add(() => lock.release())
  return lock
}

/** Lets requests in flight finish; what is left after `timeoutMs` is cut off. */
async function drain(
  server: ReturnType<typeof buildServer>,
  timeoutMs: number,
  logger: Logger,
): Promise<void> {
  const timer = setTimeout(() => {
    logger.warn({ timeoutMs }, 'requests were still in flight; their connections are closed')
    server.server.closeAllConnections()
  }, timeoutMs)
  await server.close()
  clearTimeout(timer)
}

function awsSettings(config: Config) {
  return {
    partition: config.aws.partition,
    keyPairWaitMs: config.aws.keyPairWaitMs,
    regions: config.regions,
    accounts: config.accounts.map(({ awsAccountId, credentials }) => ({
      accountId: awsAccountId,
      credentials: credentials.map((credential) => ({
        accessKeyId: credential.accessKeyId,
        secretAccessKey: readSecret(credential.secretAccessKey),
        ...(credential.sessionToken && {
          sessionToken: readSecret(credential.sessionToken).toString('utf8'),
        }),
        ...(credential.expiresAt && { expiresAt: Date.parse(credential.expiresAt) }),
      })),
    })),
  }
}

function alibabaSettings({ regions, accounts }: Config) {
  return {
    regions,
    accounts: accounts.flatMap(({ awsAccountId, alibabaUid, alibabaCredentials = [] }) => {
      if (alibabaUid === undefined) return []
      const credentials = alibabaCredentials.map((credential) => ({
        accessKeyId: credential.accessKeyId,
        accessKeySecret: readSecret(credential.accessKeySecret),
        ...(credential.securityToken && {
          securityToken: readSecret(credential.securityToken).toString('utf8'),
        }),
        ...(credential.expiresAt && { expiresAt: Date.parse(credential.expiresAt) }),
      }))
      return [{ accountId: awsAccountId, uid: alibabaUid, credentials }]
    }),
  }
}
