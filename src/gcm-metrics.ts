import { Counter, Gauge, type Registry } from 'prom-client'
import type { GcmBudget } from './core/gcm-budget.ts'
import type { KeyRotation } from './core/key-rotation.ts'
import type { InvocationLedger } from './core/ports/invocation-ledger.ts'

export interface GcmMetricsSource {
  readonly ledger: InvocationLedger
  readonly budget: GcmBudget
  readonly rotation: KeyRotation
  readonly invocationsMax: number
}

/**
 * Shows on `/metrics` how near the keys are to their bound, and what was done about it. No key becomes a label: which one it
 * is stands in the log.
 */
export function addGcmMetrics(registry: Registry, source: GcmMetricsSource): void {
  const { budget, rotation } = source
  addLeft(registry, source)
  addCounter(registry, 'p11kms_gcm_leases_total', 'Blocks of GCM invocations that were asked for.', () => ({
    ok: budget.counts.leases,
    failed: budget.counts.leasesFailed,
  }))
  addCounter(registry, 'p11kms_key_rotations_total', 'Keys that were rotated before their bound.', () => ({
    ok: rotation.counts.ok,
    failed: rotation.counts.failed,
  }))
  const refusals = new Counter({
    name: 'p11kms_gcm_refusals_total',
    help: 'Encryptions refused because the key version had all the GCM invocations that it may have. Alert on any.',
    registers: [],
    collect() {
      this.reset()
      this.inc(budget.counts.refusals)
    },
  })
  registry.registerMetric(refusals)
}

/** Read from the store, because other processes lease too; while the store is away the last value stands. */
function addLeft(registry: Registry, { ledger, invocationsMax }: GcmMetricsSource): void {
  const gauge = new Gauge({
    name: 'p11kms_gcm_invocations_left',
    help: 'Encryptions not yet leased of the enabled key whose current version has fewest left. Alert well above 0.',
    registers: [],
    aggregator: 'min',
    async collect() {
      try {
        this.set(Math.max(0, invocationsMax - (await ledger.mostLeased())))
      } catch {
        // The store's trouble shows in /readyz.
      }
    },
  })
  gauge.set(invocationsMax)
  registry.registerMetric(gauge)
}

function addCounter(
  registry: Registry,
  name: string,
  help: string,
  read: () => Readonly<Record<'ok' | 'failed', number>>,
): void {
  const counter = new Counter({
    name,
    help,
    labelNames: ['outcome'] as const,
    registers: [],
    collect() {
      this.reset()
      for (const [outcome, count] of Object.entries(read())) this.inc({ outcome }, count)
    },
  })
  registry.registerMetric(counter)
}
