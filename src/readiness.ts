import { KmsError } from './core/errors.ts'
import { tokenRef } from './core/find-key.ts'
import type { CryptoProvider, MasterKeyRef } from './core/ports/crypto-provider.ts'
import type { KeyStore } from './core/ports/key-store.ts'
import type { ComponentHealth, ReadyReport } from './http/health.ts'

/** How long readiness may wait for the token. Milliseconds. */
const CHECK_TIMEOUT_MS = 2_000

/** How many enabled keys are looked at for one that the token in question holds. */
const CANDIDATES_MAX = 10

/** What a token's connection says of itself, for the operator. */
export interface TokenStatus {
  readonly reason?: string
  readonly hint?: string
}

/** Tries the store by a write and the token by a seal and an open, with a key that it holds where there is one. */
export async function readinessOf(
  store: KeyStore,
  provider: CryptoProvider,
  token: string,
  statusOf: () => TokenStatus,
): Promise<ReadyReport> {
  const storeHealth = await health(() => store.ping())
  const tokenHealth = await health(async () => {
    const ref = storeHealth.ok ? await anyKeyOf(store, token) : undefined
    await provider.checkHealth(token, ref, { deadlineAt: Date.now() + CHECK_TIMEOUT_MS })
  })
  const { reason, hint } = statusOf()
  const explained = { ...tokenHealth, ...(reason && { reason }), ...(hint && { hint }) }
  return {
    ready: storeHealth.ok && tokenHealth.ok,
    components: { store: storeHealth, [`token:${token}`]: tokenHealth.ok ? tokenHealth : explained },
  }
}

async function anyKeyOf(store: KeyStore, token: string): Promise<MasterKeyRef | undefined> {
  const keys = await store.listKeysInState('Enabled', { limit: CANDIDATES_MAX })
  const key = keys.find((candidate) => candidate.token === token)
  const version = key?.versions.find(({ versionId }) => versionId === key.primaryVersionId)
  return key && version && tokenRef(key, version)
}

async function health(check: () => Promise<void>): Promise<ComponentHealth> {
  try {
    await check()
    return { ok: true }
  } catch (error) {
    if (error instanceof KmsError) return { ok: false, reason: error.message }
    throw error
  }
}
