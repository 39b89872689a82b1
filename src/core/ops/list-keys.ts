import { authorize } from '../authorize/authorize.ts'
import { requireKey } from '../find-key.ts'
import type { Alias, KeyIdentifier, MasterKey } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'

/** A page of a listing; `next` is where the following one starts, absent on the last. */
export interface Page<Row> {
  readonly rows: readonly Row[]
  readonly next?: string
}

export interface PageInput {
  /** `next` of the page before. */
  readonly after?: string | undefined
  /** 1 to 999. */
  readonly limit: number
}

/** Keys of the caller's account and region, by key id. */
export async function listKeys(
  deps: KmsDeps,
  context: CallContext,
  page: PageInput,
): Promise<Page<MasterKey>> {
  authorize(context.principal, 'ListKeys')
  const { accountId, region } = context.principal
  const rows = await deps.store.listKeys(accountId, region, { after: page.after, limit: page.limit + 1 })
  return cut(rows, page.limit, (key) => key.keyId)
}

/** Aliases of the caller's account and region, of one key where one is named, by name. */
export async function listAliases(
  deps: KmsDeps,
  context: CallContext,
  page: PageInput & { readonly key?: KeyIdentifier | undefined },
): Promise<Page<Alias>> {
  authorize(context.principal, 'ListAliases')
  const { accountId, region } = context.principal
  const key = page.key && (await requireKey(deps, context, 'ListAliases', page.key))
  const request = { after: page.after, limit: page.limit + 1 }
  const rows = await deps.store.listAliases(accountId, region, key?.keyId, request)
  return cut(rows, page.limit, (alias) => alias.name)
}

/** One row more than asked for tells whether there is a next page. */
export function cut<Row>(rows: readonly Row[], limit: number, nameOf: (row: Row) => string): Page<Row> {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return rows.length > limit && last !== undefined ? { rows: shown, next: nameOf(last) } : { rows: shown }
}
