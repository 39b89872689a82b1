import type { KeyStore } from '../../core/ports/key-store.ts'
import { HaPair } from './ha-pair.ts'
import type { ProofStore } from './ha-proof.ts'
import { ReplicaProofs } from './ha-proofs.ts'
import { HaProver } from './ha-prover.ts'
import { Pkcs11Provider } from './provider.ts'
import type { Pkcs11ProviderEvents, Pkcs11TokenSettings } from './settings.ts'
import type { ServedToken } from './token-set.ts'

export interface HaSettings {
  readonly primary: Pkcs11TokenSettings
  /** Its name is the primary's: keys know the pair by one name. */
  readonly replica: Pkcs11TokenSettings
  readonly failbackDelayMs: number
  readonly proveIntervalMs: number
}

/** Where keys are listed, and kept what copies are proven by. */
export type HaStore = Pick<KeyStore, 'listKeysOfToken'> & ProofStore

/**
 * Starts a token and its replica under one name.
 *
 * @param replicaEvents - The replica's own, so that its log lines can be told from the primary's.
 * @throws As {@link Pkcs11Provider.start}; nothing is left running then.
 */
export async function startHaToken(
  settings: HaSettings,
  store: HaStore,
  events: Pkcs11ProviderEvents,
  replicaEvents: Pkcs11ProviderEvents,
): Promise<ServedToken> {
  const primary = await Pkcs11Provider.start(settings.primary, events)
  let replica: Pkcs11Provider
  try {
    replica = await Pkcs11Provider.start(settings.replica, replicaEvents)
  } catch (error) {
    await primary.close()
    throw error
  }
  const { name } = settings.primary
  const { log } = events
  const proofs = new ReplicaProofs(primary, replica, store, replicaEvents.log)
  const pair = new HaPair({
    name,
    primary,
    replica,
    proofs,
    log,
    failbackDelayMs: settings.failbackDelayMs,
  })
  const prover = new HaProver({
    name,
    primary,
    replica,
    pair,
    proofs,
    store,
    log,
    intervalMs: settings.proveIntervalMs,
  })
  return {
    crypto: pair,
    members: () => [
      { token: name, member: 'primary', status: primary.status() },
      {
        token: name,
        member: 'replica',
        status: replica.status(),
        copies: prover.counts,
        served: pair.servedByReplica,
      },
    ],
    close: async () => {
      await prover.end()
      await Promise.all([primary.close(), replica.close()])
    },
  }
}
