import type { AccessPoint, AccessPolicy, ClientKey } from '../core/client-key.ts'
import { invariant } from '../lib/invariant.ts'
import { requireStorableText } from './check.ts'

/**
 * @param listed - Texts in lists of it.
 * @throws {@link KmsError} `REQUEST_INVALID` for unstorable text.
 */
export function checkAccessEntry(entry: AccessPolicy | AccessPoint, listed: readonly string[]): void {
  const { accountId, region, name, description, createdAt } = entry
  for (const [field, text] of Object.entries({ accountId, region, name, description })) {
    requireStorableText(field, text)
  }
  for (const text of listed) requireStorableText('list', text)
  invariant(Number.isSafeInteger(createdAt), 'a time is a whole number of milliseconds')
}

/** @throws {@link KmsError} `REQUEST_INVALID` for unstorable text. */
export function checkClientKey(key: ClientKey): void {
  const { clientKeyId, accountId, region, accessPoint } = key
  for (const [field, text] of Object.entries({ clientKeyId, accountId, region, accessPoint })) {
    requireStorableText(field, text)
  }
  const times = [key.createdAt, key.notBefore, key.notAfter]
  invariant(times.every(Number.isSafeInteger), 'a time is a whole number of milliseconds')
}
