import type { CountedProvider } from './core/counted-provider.ts'
import { isKmsError, KmsError } from './core/errors.ts'
import { tokenRef } from './core/find-key.ts'
import type { MaintenanceLog } from './core/maintenance.ts'
import type { MasterKeyRef } from './core/ports/crypto-provider.ts'
import type { KeyStore } from './core/ports/key-store.ts'
import type { ComponentHealth, ReadyReport } from './http/health.ts'

/** How long readiness may wait for the token. Milliseconds. */
const CHECK_TIMEOUT_MS = 2_000
/** How many enabled keys are read to find some that the token in question holds. */
const CANDIDATES_READ_MAX = 20
/** How many of them are tried: one key without its objects says nothing of the token. */
const CANDIDATES_TRIED_MAX = 3

export interface ReadinessDeps {
  readonly store: KeyStore
  readonly provider: CountedProvider
  readonly token: string
  /** What the token's connection says of itself, for the operator. */
  readonly statusOf: () => { readonly reason?: string; readonly hint?: string }
  readonly log: MaintenanceLog
}

/** Tries the store by a write and the token by a seal and an open, with a key that it holds where there is one. */
export async function readinessOf(deps: ReadinessDeps): Promise<ReadyReport> {
  const storeHealth = await storeHealthOf(deps)
  const tokenHealth = await tokenHealthOf(deps, storeHealth.ok)
  return {
    ready: storeHealth.ok && tokenHealth.ok,
    components: { store: storeHealth, [`token:${deps.token}`]: tokenHealth },
  }
}

async function storeHealthOf({ store, log }: ReadinessDeps): Promise<ComponentHealth> {
  try {
    await store.ping()
    return { ok: true }
  } catch (error) {
    if (!(error instanceof KmsError)) throw error
    log.warn({ err: error }, 'the store is not ready')
    const { code, hint } = plainFacts(error.cause)
    return { ok: false, reason: code ? `${error.message} (${code})` : error.message, ...(hint && { hint }) }
  }
}

async function tokenHealthOf(deps: ReadinessDeps, storeWorks: boolean): Promise<ComponentHealth> {
  const refs = storeWorks ? await keysOf(deps.store, deps.token) : []
  const deadlineAt = Date.now() + CHECK_TIMEOUT_MS
  let failure: KmsError | undefined
  // Last without a key: where there is none, or where no key may be sealed with, which says nothing of the token.
  for (const ref of [...refs, undefined]) {
    if (!ref && failure) break
    const error = await failureOf(() => deps.provider.checkHealth(deps.token, ref, { deadlineAt }))
    if (!error) return { ok: true }
    if (isKmsError(error, 'KEY_EXHAUSTED') || isKmsError(error, 'STORE_UNAVAILABLE')) continue
    failure = error
    deps.log.warn({ keyId: ref?.keyId, err: error }, 'the token is not ready')
  }
  const { reason = failure?.message ?? 'unknown', hint } = deps.statusOf()
  return { ok: false, reason, ...(hint && { hint }) }
}

async function keysOf(store: KeyStore, token: string): Promise<readonly MasterKeyRef[]> {
  const keys = await store.listKeysInState('Enabled', { limit: CANDIDATES_READ_MAX })
  return keys
    .filter((key) => key.token === token)
    .slice(0, CANDIDATES_TRIED_MAX)
    .flatMap((key) =>
      key.versions
        .filter(({ versionId }) => versionId === key.primaryVersionId)
        .map((version) => tokenRef(key, version)),
    )
}

async function failureOf(check: () => Promise<void>): Promise<KmsError | undefined> {
  try {
    await check()
    return undefined
  } catch (error) {
    if (error instanceof KmsError) return error
    throw error
  }
}

/** The facts that a store puts into the cause of its errors for the operator. */
function plainFacts(cause: unknown): { readonly code?: string; readonly hint?: string } {
  if (typeof cause !== 'object' || cause === null) return {}
  const { code, hint } = cause as { readonly code?: unknown; readonly hint?: unknown }
  return { ...(typeof code === 'string' && { code }), ...(typeof hint === 'string' && { hint }) }
}
