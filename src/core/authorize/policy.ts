import { KmsError } from '../errors.ts'
import {
  isObject,
  type JsonObject,
  type PolicyPrincipals,
  type PolicyStatement,
  parseConditions,
  parseDocument,
  requireEffect,
  requireMembers,
  strings,
  syntax,
  whereOf,
} from './policy-syntax.ts'
import { isPrincipalArn, isServicePrincipal } from './principal.ts'

const VERSIONS = ['2012-10-17', '2008-10-17']
const INVALID_PRINCIPALS = 'Policy contains a statement with one or more invalid principals.'

/**
 * Reads a key policy document of AWS.
 *
 * @param text - As it is sent: 1 character or more.
 * @throws {@link KmsError} `LIMIT_EXCEEDED`; `POLICY_INVALID` for what is no policy of a key, with the number of the statement
 *   and never its text.
 * @see AWS IAM User Guide, "Grammar of the IAM JSON policy language"; AWS KMS Developer Guide, "Key policies in AWS KMS"
 */
export function parseKeyPolicy(text: string): readonly PolicyStatement[] {
  const statements = parseDocument(text, ['Version', 'Id'], ({ Version, Id }) => {
    if (Version !== undefined && !VERSIONS.some((known) => known === Version)) throw syntax('Version')
    if (Id !== undefined && typeof Id !== 'string') throw syntax('Id')
  })
  const parsed = statements.map((statement, index) => parseStatement(statement, whereOf(index)))
  const given = statements.map(({ Sid }) => Sid).filter((sid) => sid !== undefined && sid !== '')
  if (new Set(given).size < given.length) throw syntax('Sid, which must be unique')
  return parsed
}

const STATEMENT_MEMBERS = [
  'Sid',
  'Effect',
  'Principal',
  'NotPrincipal',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Condition',
]

function parseStatement(value: JsonObject, where: string): PolicyStatement {
  requireMembers(value, STATEMENT_MEMBERS, where)
  const { Sid, Effect, Condition = {} } = value
  if (Sid !== undefined && typeof Sid !== 'string') throw syntax(`${where}, Sid`)
  const [principal, exceptPrincipals] = oneOf(value, 'Principal', where)
  const [action, exceptActions] = oneOf(value, 'Action', where)
  const [resource, exceptResources] = oneOf(value, 'Resource', where)
  const actions = strings(action, `${where}, Action`)
  if (!actions.every((pattern) => ACTION.test(pattern))) throw syntax(`${where}, Action`)
  return {
    effect: requireEffect(Effect, where),
    principals: { except: exceptPrincipals, named: parsePrincipals(principal, where) },
    actions: { except: exceptActions, patterns: actions },
    resources: { except: exceptResources, patterns: strings(resource, `${where}, Resource`) },
    conditions: parseConditions(Condition, where),
  }
}

const ACTION = /^(?:\*|[A-Za-z0-9-]{1,64}:[A-Za-z0-9*?]{1,128})$/

/** `Name` or `NotName`, of which a statement has exactly one. */
function oneOf(statement: JsonObject, name: string, where: string): readonly [value: unknown, not: boolean] {
  const [plain, not] = [statement[name], statement[`Not${name}`]]
  if ((plain === undefined) === (not === undefined)) throw syntax(`${where}, ${name}`)
  return plain === undefined ? [not, true] : [plain, false]
}

function parsePrincipals(value: unknown, where: string): PolicyPrincipals {
  if (value === '*') return { AWS: ['*'] }
  if (!isObject(value) || Object.keys(value).length === 0) throw syntax(`${where}, Principal`)
  const kinds = Object.entries(value).map(([kind, names]) => {
    const isKind = Object.hasOwn(PRINCIPAL_FORMS, kind) ? PRINCIPAL_FORMS[kind] : undefined
    const listed = strings(names, `${where}, Principal`)
    if (!isKind || !listed.every(isKind)) throw new KmsError('POLICY_INVALID', INVALID_PRINCIPALS, {})
    return [kind, listed] as const
  })
  return Object.fromEntries(kinds)
}

const PRINCIPAL_FORMS: Readonly<Record<string, (name: string) => boolean>> = {
  AWS: (name) => name === '*' || /^\d{12}$/.test(name) || isPrincipalArn(name),
  Service: isServicePrincipal,
  Federated: (name) => name.length >= 1 && name.length <= 2048,
  CanonicalUser: (name) => /^[0-9a-f]{64}$/.test(name),
}
