import { randomUUID } from 'node:crypto'
import { readClientPublicKey } from './config/client-keys.ts'
import type { Config } from './config/schema.ts'
import { ClientAccess } from './core/client-access.ts'
import { type ClientCredential, ClientKeyDirectory } from './core/client-key-directory.ts'
import { InFlightLimit } from './core/in-flight-limit.ts'
import type { AccessStore } from './core/ports/access-store.ts'
import type { Clock } from './lib/clock.ts'
import { invariant } from './lib/invariant.ts'
import { Pkcs12Issuer } from './providers/client-keys/issuer.ts'

/** Each is a thread that computes for a tenth of a second or more. */
const ISSUES = { max: 4, perAccountMax: 2 } as const

/** Who may use the instance API, and the operations on that. */
export interface ClientAccessParts {
  readonly directory: ClientKeyDirectory
  readonly operations: ClientAccess
  /** Ends what requests that were cut off have begun. */
  close(): Promise<void>
}

/** @param hasPeers - Whether other processes serve from the same store. */
export function assembleClientAccess(
  config: Config,
  access: AccessStore,
  clock: Clock,
  hasPeers: boolean,
): ClientAccessParts {
  const { cacheMaxAgeMs, cacheEntriesMax } = config.keys
  const directory = new ClientKeyDirectory({
    access,
    clock,
    cache: { maxAgeMs: cacheMaxAgeMs, entriesMax: cacheEntriesMax },
    configured: configuredCredentials(config),
    hasPeers,
  })
  const issuer = new Pkcs12Issuer()
  const operations = new ClientAccess({
    access,
    directory,
    issuer,
    issues: new InFlightLimit(ISSUES),
    clock,
    newId: randomUUID,
  })
  return { directory, operations, close: () => issuer.close() }
}

function configuredCredentials(config: Config): ClientCredential[] {
  const [first] = config.regions
  invariant(first, 'the schema asks for a region')
  return config.accounts.flatMap(({ awsAccountId, clientKeys = [] }) =>
    clientKeys.map(({ clientKeyId, publicKeyFile, region = first.name, expiresAt }) => ({
      clientKeyId,
      publicKey: readClientPublicKey(publicKeyFile),
      accountId: awsAccountId,
      region,
      notBefore: 0,
      notAfter: expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt),
    })),
  )
}
