import { KmsError } from '../errors.ts'
import type { MasterKey, Principal } from '../key.ts'
import type { PolicyStatement } from './policy-syntax.ts'
import { principalResource, splitArn } from './principal.ts'

const ACTION = 'kms:PutKeyPolicy'

/**
 * Refuses a policy after which whoever sets it could not set another one: "the lockout safety check". Conditions are not looked
 * into: a statement that has some allows nothing here, and denies nothing.
 *
 * @throws {@link KmsError} `POLICY_INVALID`
 * @see AWS KMS API Reference, "PutKeyPolicy", BypassPolicyLockoutSafetyCheck
 */
export function requireNoLockout(
  statements: readonly PolicyStatement[],
  principal: Principal,
  key: Pick<MasterKey, 'keyId'>,
): void {
  const speaking = statements.filter((statement) => applies(statement, principal, key))
  const allowed = speaking.some(({ effect }) => effect === 'Allow')
  if (allowed && !speaking.some(({ effect }) => effect === 'Deny')) return
  const message = 'The new key policy will not allow you to update the key policy in the future.'
  throw new KmsError('POLICY_INVALID', message, {})
}

function applies(statement: PolicyStatement, principal: Principal, key: Pick<MasterKey, 'keyId'>): boolean {
  const { principals, actions, resources, conditions } = statement
  if (Object.keys(conditions).length > 0) return false
  const { AWS: named = [] } = principals.named
  const names = named.some((name) => namesPrincipal(name, principal))
  const acts = actions.patterns.some((pattern) => matches(pattern.toLowerCase(), ACTION.toLowerCase()))
  const speaks = resources.patterns.some((pattern) => isOfKey(pattern, principal, key))
  return names !== principals.except && acts !== actions.except && speaks !== resources.except
}

/** Whether a name in a policy is everybody's, the principal's account's, or the principal's own. */
function namesPrincipal(name: string, principal: Principal): boolean {
  if (name === '*' || name === principal.accountId) return true
  const arn = splitArn(name)
  if (!arn || arn.service !== 'iam' || arn.accountId !== principal.accountId) return false
  return arn.resource === 'root' || arn.resource === principalResource(principal)
}

/** Whether a pattern of resources covers the key. Its partition is the one of the installation, whatever its name. */
function isOfKey(pattern: string, { region, accountId }: Principal, key: Pick<MasterKey, 'keyId'>): boolean {
  if (pattern === '*') return true
  const { partition = 'aws' } = splitArn(pattern) ?? {}
  return matches(pattern, `arn:${partition}:kms:${region}:${accountId}:key/${key.keyId}`)
}

/**
 * Whether `text` is of a pattern with `*` for any characters and `?` for any one. Goes back to the last `*` alone, which is
 * enough: the time is bounded by the product of both lengths.
 */
export function matches(pattern: string, text: string): boolean {
  let [at, inPattern, star, starAt] = [0, 0, -1, 0]
  while (at < text.length) {
    const wanted = pattern[inPattern]
    if (wanted === '*') {
      star = inPattern
      starAt = at
      inPattern += 1
    } else if (wanted === '?' || wanted === text[at]) {
      at += 1
      inPattern += 1
    } else if (star >= 0) {
      inPattern = star + 1
      starAt += 1
      at = starAt
    } else return false
  }
  while (pattern[inPattern] === '*') inPattern += 1
  return inPattern === pattern.length
}
