import { randomUUID } from 'node:crypto'
import { CountedProvider } from '../../src/core/counted-provider.ts'
import { COUNTED_INVOCATIONS_MAX, GcmBudget, type GcmBudgetSettings } from '../../src/core/gcm-budget.ts'
import { ImportMaintenance } from '../../src/core/import-maintenance.ts'
import { InFlightLimit } from '../../src/core/in-flight-limit.ts'
import type { Principal } from '../../src/core/key.ts'
import { KeyDirectory } from '../../src/core/key-directory.ts'
import { KeyRotation } from '../../src/core/key-rotation.ts'
import { Kms } from '../../src/core/kms.ts'
import { type CallContext, newTrail } from '../../src/core/kms-context.ts'
import { LastUses } from '../../src/core/last-uses.ts'
import { Maintenance } from '../../src/core/maintenance.ts'
import { PairGate } from '../../src/core/pair-gate.ts'
import type { CryptoProvider } from '../../src/core/ports/crypto-provider.ts'
import type { WithImports } from '../../src/core/ports/import-store.ts'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import { PublicKeyProofs } from '../../src/core/public-key-proofs.ts'
import { ManualClock } from './manual-clock.ts'
import { MemoryKeyStore } from './memory-key-store.ts'
import { MemoryLeaseStore } from './memory-lease-store.ts'
import { SoftwareProvider } from './software-provider.ts'

export const TEST_TOKEN = 'main'
export const TEST_REGIONS = ['us-east-1', 'eu-central-1', 'ap-northeast-3']
/** How long a key is seen due before it is destroyed. */
export const GRACE_MS = 3_600_000
/** How long after the last version of a key pair another one may be made. */
export const VERSION_INTERVAL_MS = 7 * 86_400_000
/** How long a key pair may take to make. */
export const PAIR_TIMEOUT_MS = 60_000
export const ALICE: Principal = {
  accountId: '111122223333',
  accessKeyId: 'AKIAALICEALICEALICEA',
  region: 'us-east-1',
}
export const MALLORY: Principal = {
  accountId: '999999999999',
  accessKeyId: 'AKIAMALLORYMALLORYMA',
  region: 'us-east-1',
}

/** A call of `principal` with five seconds to end. */
export function call(principal: Principal = ALICE): CallContext {
  return { principal, deadlineAt: Date.now() + 5000, trail: newTrail() }
}

/** The core on doubles in memory. */
export function kmsFixture(gcm: Partial<GcmBudgetSettings> = {}) {
  return kmsOn(new MemoryKeyStore(), new SoftwareProvider(), gcm)
}

/** The core on a given store and provider, with a clock that can be moved. */
export function kmsOn<S extends KeyStore & WithImports, P extends CryptoProvider>(
  store: S,
  provider: P,
  gcm: Partial<GcmBudgetSettings> = {},
) {
  const clock = new ManualClock()
  const directory = new KeyDirectory(store, clock, { maxAgeMs: 1000, entriesMax: 1000 })
  const creations = new InFlightLimit({ max: 16, perAccountMax: 8 })
  const logged: { readonly fields: Readonly<Record<string, unknown>>; readonly message: string }[] = []
  const note = (fields: Readonly<Record<string, unknown>>, message: string) =>
    void logged.push({ fields, message })
  const log = { info: note, warn: note, error: note }
  const settings = {
    invocationsMax: COUNTED_INVOCATIONS_MAX,
    leaseInvocations: 64,
    rotateAt: 2 ** 31,
    ...gcm,
  }
  const leases = new MemoryLeaseStore()
  const versions = { intervalMs: VERSION_INTERVAL_MS }
  /** The provider with invocations leased for itself, as each process has it. */
  const countedProvider = () =>
    new CountedProvider(provider, new GcmBudget({ ledger: store, clock, log, settings }))
  /** The operations with another cache and other leases, as another process has them. */
  const kmsWith = (cache: KeyDirectory) =>
    new Kms({
      store,
      imports: store.imports,
      provider: countedProvider(),
      directory: cache,
      clock,
      newId: randomUUID,
      creations,
      get keyVersionIntervalMs() {
        return versions.intervalMs
      },
      pairs: new PairGate({ leases, clock, newId: randomUUID, pairTimeoutMs: () => PAIR_TIMEOUT_MS }),
      publicKeys: new PublicKeyProofs({ provider, entriesMax: 1000 }),
      regions: TEST_REGIONS,
      lastUses: new LastUses({ store, clock }),
      tokenForNewKeys: TEST_TOKEN,
    })
  const kms = kmsWith(directory)
  const maintenance = new Maintenance({
    store,
    provider,
    directory,
    clock,
    log,
    destructionGraceMs: GRACE_MS,
  })
  const rotation = new KeyRotation({
    store,
    provider: countedProvider(),
    directory,
    clock,
    log,
    newId: randomUUID,
    rotateAt: settings.rotateAt,
    pairTimeoutMs: () => PAIR_TIMEOUT_MS,
  })
  const imports = new ImportMaintenance({
    store,
    imports: store.imports,
    provider: countedProvider(),
    directory,
    clock,
    log,
  })
  return {
    kms,
    imports,
    kmsWith,
    rotation,
    counted: countedProvider(),
    store,
    provider,
    clock,
    directory,
    maintenance,
    logged,
    versions,
  }
}
