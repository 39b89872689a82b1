/**
 * Alias grammar, shared by both APIs (AWS KMS, "CreateAlias", AliasName: at most 256 characters of
 * `^[a-zA-Z0-9:/_-]+$`, opening with `alias/`).
 */
export const ALIAS_PREFIX = 'alias/'
const ALIAS_CHARACTERS_MAX = 256

const ALIAS = /^alias\/[a-zA-Z0-9/_-]+$/

/** Whether `name` is a full alias name. */
export function isAliasName(name: string): boolean {
  return name.length <= ALIAS_CHARACTERS_MAX && ALIAS.test(name)
}
