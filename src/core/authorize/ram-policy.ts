import {
  isObject,
  type JsonObject,
  type PolicyStatement,
  parseConditions,
  parseDocument,
  requireEffect,
  requireMembers,
  strings,
  syntax,
  whereOf,
} from './policy-syntax.ts'

const VERSION = '1'
const SID = /^[\w /+=.@-]{0,128}$/
/** Operations that there are not may be named: they say nothing. */
const ACTION = /^kms:[A-Za-z0-9*?]{1,128}$/
/** An account, and a user or a role of one. Whether there is one is not asked. */
const PRINCIPAL = /^acs:ram::\d{5,20}:(?:\*|root|(?:user|role)\/[\w.@*-]{1,64})$/
/** The key itself: a policy of it speaks of no other. */
const RESOURCE = '*'

const STATEMENT_MEMBERS = ['Sid', 'Effect', 'Principal', 'Action', 'Resource', 'Condition']

/**
 * Reads a key policy document of Alibaba Cloud.
 *
 * @param text - As it is sent: 1 character or more.
 * @throws {@link KmsError} `LIMIT_EXCEEDED`; `POLICY_INVALID` for what is no policy of a key, with the number of the statement
 *   and never its text.
 * @see Alibaba Cloud KMS, "SetKeyPolicy", Policy
 */
export function parseRamKeyPolicy(text: string): readonly PolicyStatement[] {
  const statements = parseDocument(text, ['Version'], ({ Version }) => {
    if (Version !== VERSION) throw syntax('Version')
  })
  return statements.map((statement, index) => parseStatement(statement, whereOf(index)))
}

function parseStatement(statement: JsonObject, where: string): PolicyStatement {
  requireMembers(statement, STATEMENT_MEMBERS, where)
  const { Sid = '', Effect, Principal, Action, Resource, Condition = {} } = statement
  if (typeof Sid !== 'string' || !SID.test(Sid)) throw syntax(`${where}, Sid`)
  const resources = strings(Resource, `${where}, Resource`)
  if (!resources.every((resource) => resource === RESOURCE)) throw syntax(`${where}, Resource`)
  const actions = strings(Action, `${where}, Action`)
  if (!actions.every((pattern) => ACTION.test(pattern))) throw syntax(`${where}, Action`)
  return {
    effect: requireEffect(Effect, where),
    principals: { except: false, named: { RAM: parsePrincipals(Principal, `${where}, Principal`) } },
    actions: { except: false, patterns: actions },
    resources: { except: false, patterns: resources },
    conditions: parseConditions(Condition, where),
  }
}

function parsePrincipals(value: unknown, where: string): readonly string[] {
  if (!isObject(value)) throw syntax(where)
  requireMembers(value, ['RAM'], where)
  const named = strings(value['RAM'], where)
  if (!named.every((name) => PRINCIPAL.test(name))) throw syntax(where)
  return named
}
