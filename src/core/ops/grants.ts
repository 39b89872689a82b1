import { createHash, randomBytes } from 'node:crypto'
import { authorize } from '../authorize/authorize.ts'
import { endDryRun } from '../dry-run.ts'
import { KmsError } from '../errors.ts'
import { requireKey, requireState } from '../find-key.ts'
import type { Grant, GrantPrincipal, GrantTerms } from '../grant.ts'
import { requireGrantTerms, requirePrincipal } from '../grant-terms.ts'
import { newGrantToken, newTokenKey, requireGrantOfToken } from '../grant-tokens.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import { cut, type Page, type PageInput } from './list-keys.ts'

/** Grants that a key may have (AWS KMS, "Resource quotas"). */
const GRANTS_MAX = 50_000

const GRANT_ID = { bytes: 32, form: /^[0-9a-f]{64}$/ } as const

/** A grant as its maker is told of it. */
export interface MadeGrant {
  readonly grantId: string
  /** Unlike that of any other call, also where the grant was there before. */
  readonly token: string
}

/** Names a grant to be ended by its retiring principal. */
export type RetiredGrant = { readonly token: string } | { readonly keyId: string; readonly grantId: string }

export interface ListGrantsInput extends PageInput {
  readonly grantId?: string | undefined
  readonly grantee?: GrantPrincipal | undefined
}

/** A named grant with the same terms is made once, however often it is asked for. */
export async function createGrant(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  terms: GrantTerms,
): Promise<MadeGrant> {
  const key = await requireKey(deps, context, 'CreateGrant', { kind: 'id', keyId })
  requireGrantTerms(key, terms)
  requireState(key, 'Enabled')
  endDryRun(context)
  const { accountId, region } = key
  const wanted: Grant = {
    ...terms,
    grantId: randomBytes(GRANT_ID.bytes).toString('hex'),
    accountId,
    region,
    keyId: key.keyId,
    createdAt: deps.clock.now(),
    tokenKey: newTokenKey(),
    ...(terms.name !== undefined && { fingerprint: fingerprintOf(terms) }),
  }
  const grant = await deps.store.createGrant(wanted, GRANTS_MAX)
  if (!grant) {
    const message = `A key may have at most ${GRANTS_MAX} grants.`
    throw new KmsError('LIMIT_EXCEEDED', message, { limit: 'grants' })
  }
  return { grantId: grant.grantId, token: newGrantToken(grant) }
}

/** Injective in all that a grant says. */
function fingerprintOf(terms: GrantTerms): string {
  const { name, grantee, retiring, operations, constraints } = terms
  const principal = (who?: GrantPrincipal) => (who ? [who.kind, who.name] : null)
  const pairs = (context?: Readonly<Record<string, string>>) =>
    context ? Object.entries(context).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)) : null
  const said = [
    name,
    principal(grantee),
    principal(retiring),
    operations,
    constraints ? 1 : 0,
    pairs(constraints?.encryptionContextSubset),
    pairs(constraints?.encryptionContextEquals),
    constraints?.sourceArn ?? null,
  ]
  return createHash('sha256').update(JSON.stringify(said)).digest('hex')
}

/** Grants of a key by grant id, of one grantee or one id where they are named. */
export async function listGrants(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  page: ListGrantsInput,
): Promise<Page<Grant>> {
  if (page.grantee) requirePrincipal(page.grantee)
  const key = await requireKey(deps, context, 'ListGrants', { kind: 'id', keyId })
  if (page.grantId !== undefined) return { rows: await oneGrant(deps, key, page.grantId, page.grantee) }
  const request = { after: page.after, limit: page.limit + 1 }
  const grants = await deps.store.listGrants(key.region, key.keyId, page.grantee, request)
  return cut(grants, page.limit, ({ grantId }) => grantId)
}

async function oneGrant(
  deps: KmsDeps,
  key: { readonly region: string; readonly keyId: string },
  grantId: string,
  grantee: GrantPrincipal | undefined,
): Promise<readonly Grant[]> {
  requireGrantId(grantId)
  const grant = await deps.store.getGrant(grantId)
  if (grant?.region !== key.region || grant.keyId !== key.keyId) return []
  const named = !grantee || (grant.grantee.kind === grantee.kind && grant.grantee.name === grantee.name)
  return named ? [grant] : []
}

/** Grants of the caller's account and region that `retiring` may end, by grant id. */
export async function listRetirableGrants(
  deps: KmsDeps,
  context: CallContext,
  retiring: GrantPrincipal,
  page: PageInput,
): Promise<Page<Grant>> {
  requirePrincipal(retiring)
  authorize(context.principal, 'ListRetirableGrants')
  const { accountId, region } = context.principal
  const request = { after: page.after, limit: page.limit + 1 }
  const grants = await deps.store.listRetirableGrants(accountId, region, retiring, request)
  return cut(grants, page.limit, ({ grantId }) => grantId)
}

/** Ends a grant, named by one of its tokens or by its key and its id. */
export async function retireGrant(deps: KmsDeps, context: CallContext, retired: RetiredGrant): Promise<void> {
  const grant =
    'token' in retired
      ? await requireGrantOfToken(deps, context, retired.token)
      : { keyId: retired.keyId, grantId: retired.grantId }
  await endGrant(deps, context, 'RetireGrant', grant)
}

/** Ends a grant. Its tokens are none from then on. */
export async function revokeGrant(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  grantId: string,
): Promise<void> {
  await endGrant(deps, context, 'RevokeGrant', { keyId, grantId })
}

async function endGrant(
  deps: KmsDeps,
  context: CallContext,
  action: 'RetireGrant' | 'RevokeGrant',
  { keyId, grantId }: Pick<Grant, 'keyId' | 'grantId'>,
): Promise<void> {
  const key = await requireKey(deps, context, action, { kind: 'id', keyId })
  requireGrantId(grantId)
  const grant = await deps.store.getGrant(grantId)
  if (grant?.region !== key.region || grant.keyId !== key.keyId) throw grantNotFound(grantId)
  endDryRun(context)
  const deleted = await deps.store.deleteGrant(key.region, key.keyId, grantId)
  await deps.directory.grantEnded(grantId)
  if (!deleted) throw grantNotFound(grantId)
}

function requireGrantId(grantId: string): void {
  if (GRANT_ID.form.test(grantId)) return
  throw new KmsError('GRANT_ID_INVALID', 'The grant id is not valid.', {})
}

function grantNotFound(grantId: string): KmsError<'GRANT_NOT_FOUND'> {
  return new KmsError('GRANT_NOT_FOUND', 'There is no such grant.', { grantId })
}
