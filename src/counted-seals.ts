import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import type { Config } from './config/schema.ts'
import { CountedProvider } from './core/counted-provider.ts'
import { GcmBudget } from './core/gcm-budget.ts'
import { ImportMaintenance } from './core/import-maintenance.ts'
import type { KeyDirectory } from './core/key-directory.ts'
import { KeyRotation } from './core/key-rotation.ts'
import type { CryptoProvider } from './core/ports/crypto-provider.ts'
import type { WithImports } from './core/ports/import-store.ts'
import type { KeyStore } from './core/ports/key-store.ts'
import { addGcmMetrics } from './gcm-metrics.ts'
import { SYSTEM_CLOCK } from './lib/clock.ts'
import { RotationLoop } from './rotation-loop.ts'

export interface CountedSeals {
  /** The provider that everything else is given. */
  readonly provider: CountedProvider
  /** Rotates keys before their bound; to be started once the gateway serves. */
  readonly rotations: RotationLoop
  addMetrics(registry: Registry): void
}

/** Puts the count of GCM invocations between the core and the tokens, with the rotation that keeps keys from its bound. */
export function countSeals(
  uncounted: CryptoProvider,
  store: KeyStore & WithImports,
  directory: KeyDirectory,
  { gcmInvocationsMax, gcmLeaseInvocations, gcmRotateAt, maintenanceIntervalMs }: Config['keys'],
  log: Logger,
  pairTimeoutMs: (token: string) => number,
): CountedSeals {
  const clock = SYSTEM_CLOCK
  const settings = {
    invocationsMax: gcmInvocationsMax,
    leaseInvocations: gcmLeaseInvocations,
    rotateAt: gcmRotateAt,
  }
  const onRotationDue = () => rotations.wake()
  const budget = new GcmBudget({ ledger: store, clock, log, settings, onRotationDue })
  const provider = new CountedProvider(uncounted, budget)
  const rotation = new KeyRotation({
    store,
    provider,
    directory,
    clock,
    log,
    newId: randomUUID,
    rotateAt: gcmRotateAt,
    pairTimeoutMs,
  })
  const imports = new ImportMaintenance({ store, imports: store.imports, provider, directory, clock, log })
  const round = async (signal: AbortSignal) => {
    // First: what has expired is not to wait for keys that are rotated.
    await imports.run(signal)
    await rotation.run(signal)
  }
  const rotations = new RotationLoop(round, maintenanceIntervalMs, log)
  const addMetrics = (registry: Registry) =>
    addGcmMetrics(registry, { ledger: store, budget, rotation, invocationsMax: gcmInvocationsMax })
  return { provider, rotations, addMetrics }
}
