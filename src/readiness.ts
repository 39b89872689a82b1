import type { CountedProvider } from './core/counted-provider.ts'
import { isKmsError, KmsError } from './core/errors.ts'
import { tokenRef } from './core/find-key.ts'
import { isSymmetric } from './core/key-spec.ts'
import type { MasterKeyRef } from './core/ports/crypto-provider.ts'
import type { KeyStore, TokenUse } from './core/ports/key-store.ts'
import type { ComponentHealth, ReadyReport } from './http/health.ts'
import type { RepeatedLog } from './lib/repeated-log.ts'

/** How long readiness may wait for the tokens. Milliseconds. */
const CHECK_TIMEOUT_MS = 2_000
/** How many keys of a token are tried: one key without its objects says nothing of the token. */
const KEYS_TRIED_MAX = 3
/** How many are looked at to find so many that seal. */
const KEYS_LOOKED_AT_MAX = 100

/** What the connections of the tokens say of themselves. */
export interface MemberHealth {
  readonly token: string
  readonly member: 'primary' | 'replica'
  readonly status: { readonly state: string; readonly reason?: string; readonly hint?: string }
  /** Of a replica: key versions by what is known of their copies. */
  readonly copies?: { readonly unproven: number; readonly refused: number }
}

export interface ReadinessDeps {
  readonly store: KeyStore
  readonly provider: CountedProvider
  readonly members: () => readonly MemberHealth[]
  /** Tokens that keys name and that are not configured. */
  readonly strays: readonly TokenUse[]
  /** Readiness is asked for every second, and says the same every time. */
  readonly log: RepeatedLog
  /** What this process is to make before it is ready and has not made, by name. */
  readonly unmade?: () => Promise<Readonly<Record<string, ComponentHealth>>>
}

/**
 * Tries the store by a write and each token by a seal and an open, with a key that it holds where there is one. Ready is
 * who can serve some keys: were one dead token of several to say "not ready", every gateway that shares it would be
 * taken out of service, and the keys of the other tokens with them. `degraded` tells that something is wrong.
 */
export async function readinessOf(deps: ReadinessDeps): Promise<ReadyReport> {
  const store = await storeHealthOf(deps)
  const members = deps.members()
  const names = [...new Set(members.map(({ token }) => token))]
  const tokens = await Promise.all(
    names.map(async (name) => [`token:${name}`, await tokenHealthOf(deps, members, name, store.ok)] as const),
  )
  const unmade = Object.entries((store.ok && (await deps.unmade?.())) || {})
  const components: Record<string, ComponentHealth> = Object.fromEntries([
    ['store', store] as const,
    ...unmade,
    ...tokens,
    ...members.filter(({ token }) => hasReplica(members, token)).map(memberHealthOf),
    ...deps.strays.map(strayHealthOf),
  ])
  return {
    ready: store.ok && unmade.length === 0 && tokens.some(([, { ok }]) => ok),
    degraded: Object.values(components).some(({ ok }) => !ok),
    components,
  }
}

async function storeHealthOf({ store, log }: ReadinessDeps): Promise<ComponentHealth> {
  try {
    await store.ping()
    return { ok: true }
  } catch (error) {
    if (!(error instanceof KmsError)) throw error
    log.tell('warn', `store: ${error.message}`, { err: error }, 'the store is not ready')
    const { code, hint } = plainFacts(error.cause)
    return { ok: false, reason: code ? `${error.message} (${code})` : error.message, ...(hint && { hint }) }
  }
}

async function tokenHealthOf(
  deps: ReadinessDeps,
  members: readonly MemberHealth[],
  token: string,
  storeWorks: boolean,
): Promise<ComponentHealth> {
  const refs = storeWorks ? await keysOf(deps.store, token) : []
  const deadlineAt = Date.now() + CHECK_TIMEOUT_MS
  let failure: KmsError | undefined
  // Last without a key: where there is none, or where no key may be sealed with, which says nothing of the token.
  for (const ref of [...refs, undefined]) {
    if (!ref && failure) break
    const error = await failureOf(() => deps.provider.checkHealth(token, ref, { deadlineAt }))
    if (!error) return { ok: true }
    if (isKmsError(error, 'KEY_EXHAUSTED') || isKmsError(error, 'STORE_UNAVAILABLE')) continue
    failure = error
    const trouble = `${token}: ${error.cause instanceof Error ? error.cause.message : error.code}`
    deps.log.tell('warn', trouble, { token, keyId: ref?.keyId, err: error }, 'the token is not ready')
  }
  const primary = members.find((one) => one.token === token && one.member === 'primary')
  const { reason = failure?.message ?? 'unknown', hint } = primary?.status ?? {}
  return { ok: false, reason, ...(hint && { hint }) }
}

function hasReplica(members: readonly MemberHealth[], token: string): boolean {
  return members.some((one) => one.token === token && one.member === 'replica')
}

/** One token of a pair. The pair serves while either is there, so only this tells that the other one is gone. */
function memberHealthOf({ token, member, status, copies }: MemberHealth): readonly [string, ComponentHealth] {
  const name = `token:${token}/${member}`
  const { state, reason, hint } = status
  if (state !== 'up') return [name, { ok: false, ...(reason && { reason }), ...(hint && { hint }) }]
  const { unproven = 0, refused = 0 } = copies ?? {}
  if (unproven + refused === 0) return [name, { ok: true }]
  return [
    name,
    {
      ok: false,
      reason: `It cannot take over for every key: the copies of ${unproven} versions are not proven, ${refused} are refused.`,
      hint: 'Copy the missing keys from the primary; the log names those that are refused.',
    },
  ]
}

function strayHealthOf({ token, keys }: TokenUse): readonly [string, ComponentHealth] {
  const reason = `${keys} ${keys === 1 ? 'key names' : 'keys name'} this token, which is not configured.`
  return [`token:${token}`, { ok: false, reason, hint: 'Configure the token under that name again.' }]
}

async function keysOf(store: KeyStore, token: string): Promise<readonly MasterKeyRef[]> {
  const keys = await store.listKeysOfToken(token, 'Enabled', { limit: KEYS_LOOKED_AT_MAX })
  const sealing = keys.filter(({ spec }) => isSymmetric(spec)).slice(0, KEYS_TRIED_MAX)
  return sealing.flatMap((key) =>
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
