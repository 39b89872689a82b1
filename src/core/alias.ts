import { KmsError } from './errors.ts'

/**
 * Alias grammar, shared by both APIs (AWS KMS, "CreateAlias", AliasName: at most 256 characters of
 * `^[a-zA-Z0-9:/_-]+$`, opening with `alias/`).
 */
export const ALIAS_PREFIX = 'alias/'
const ALIAS_CHARACTERS_MAX = 256

/** Aliases that a key may have (AWS KMS, "Resource quotas"). */
export const ALIASES_PER_KEY_MAX = 50

const ALIAS = /^alias\/[a-zA-Z0-9/_-]+$/

/** Whether `name` is a full alias name. */
export function isAliasName(name: string): boolean {
  return name.length <= ALIAS_CHARACTERS_MAX && ALIAS.test(name)
}

export function tooManyAliases(): KmsError<'LIMIT_EXCEEDED'> {
  const message = `A key may have at most ${ALIASES_PER_KEY_MAX} aliases.`
  return new KmsError('LIMIT_EXCEEDED', message, { limit: 'aliases' })
}
