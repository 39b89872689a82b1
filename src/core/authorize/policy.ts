import { KmsError } from '../errors.ts'
import { isPrincipalArn, isServicePrincipal } from './principal.ts'

/** AWS KMS, "Resource quotas": key policy document size. Bytes. */
const POLICY_BYTES_MAX = 32_768

const VERSIONS = ['2012-10-17', '2008-10-17']
const INVALID_PRINCIPALS = 'Policy contains a statement with one or more invalid principals.'

/** Whom a statement speaks of, by kind: `AWS`, `Service`, `Federated`, `CanonicalUser`; everybody is `AWS: ['*']`. */
export type PolicyPrincipals = Readonly<Record<string, readonly string[]>>

/** One statement. Of each pair of elements one is there. */
export interface PolicyStatement {
  readonly effect: 'Allow' | 'Deny'
  readonly principals: { readonly except: boolean; readonly named: PolicyPrincipals }
  readonly actions: { readonly except: boolean; readonly patterns: readonly string[] }
  readonly resources: { readonly except: boolean; readonly patterns: readonly string[] }
  /** Operator, condition key, values; empty without conditions. */
  readonly conditions: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
}

/**
 * Reads a key policy document.
 *
 * @param text - As it is sent: 1 character or more.
 * @throws {@link KmsError} `LIMIT_EXCEEDED` past {@link POLICY_BYTES_MAX}; `POLICY_INVALID` for what is no policy of a key, with
 *   the number of the statement and never its text.
 * @see AWS IAM User Guide, "Grammar of the IAM JSON policy language"; AWS KMS Developer Guide, "Key policies in AWS KMS"
 */
export function parseKeyPolicy(text: string): readonly PolicyStatement[] {
  if (Buffer.byteLength(text) > POLICY_BYTES_MAX) {
    const limit = 'policy'
    throw new KmsError('LIMIT_EXCEEDED', `A key policy has at most ${POLICY_BYTES_MAX} bytes.`, { limit })
  }
  const document = parseObject(text)
  requireMembers(document, ['Version', 'Id', 'Statement'], 'The policy')
  const { Version, Id, Statement } = document
  if (Version !== undefined && !VERSIONS.some((known) => known === Version)) throw syntax('Version')
  if (Id !== undefined && typeof Id !== 'string') throw syntax('Id')
  const statements = Array.isArray(Statement) ? (Statement as unknown[]) : [Statement]
  if (Statement === undefined || statements.length === 0) throw syntax('Statement')
  const parsed = statements.map((statement, index) => parseStatement(statement, `Statement ${index + 1}`))
  const sids = statements.flatMap((statement) => (isObject(statement) ? [statement['Sid']] : []))
  const given = sids.filter((sid) => sid !== undefined && sid !== '')
  if (new Set(given).size < given.length) throw syntax('Sid, which must be unique')
  return parsed
}

type JsonObject = Readonly<Record<string, unknown>>

function parseObject(text: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's own error quotes the text.
    throw new KmsError('POLICY_INVALID', 'Syntax errors in policy: it is not valid JSON.', {})
  }
  if (!isObject(value)) throw syntax('the document')
  return value
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

function parseStatement(value: unknown, where: string): PolicyStatement {
  if (!isObject(value)) throw syntax(where)
  requireMembers(value, STATEMENT_MEMBERS, where)
  const { Sid, Effect, Condition = {} } = value
  if (Sid !== undefined && typeof Sid !== 'string') throw syntax(`${where}, Sid`)
  if (Effect !== 'Allow' && Effect !== 'Deny') throw syntax(`${where}, Effect`)
  const [principal, exceptPrincipals] = oneOf(value, 'Principal', where)
  const [action, exceptActions] = oneOf(value, 'Action', where)
  const [resource, exceptResources] = oneOf(value, 'Resource', where)
  const actions = strings(action, `${where}, Action`)
  if (!actions.every((pattern) => ACTION.test(pattern))) throw syntax(`${where}, Action`)
  return {
    effect: Effect,
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

function parseConditions(value: unknown, where: string): PolicyStatement['conditions'] {
  if (!isObject(value)) throw syntax(`${where}, Condition`)
  const operators = Object.entries(value).map(([operator, keys]) => {
    if (!/^[A-Za-z]+(?::[A-Za-z]+)?$/.test(operator) || !isObject(keys)) throw syntax(`${where}, Condition`)
    const values = Object.entries(keys).map(
      ([key, given]) => [key, conditionValues(given, `${where}, Condition`)] as const,
    )
    return [operator, Object.fromEntries(values)] as const
  })
  return Object.fromEntries(operators)
}

/** Numbers and truth values may stand without quotes. */
function conditionValues(value: unknown, where: string): readonly string[] {
  const listed: readonly unknown[] = Array.isArray(value) ? value : [value]
  return listed.map((one) => {
    if (typeof one === 'string' || typeof one === 'number' || typeof one === 'boolean') return `${one}`
    throw syntax(where)
  })
}

/** A string, or a list of at least one. */
function strings(value: unknown, where: string): readonly string[] {
  const listed: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (listed.length === 0) throw syntax(where)
  return listed.map((one) => {
    if (typeof one === 'string' && one !== '') return one
    throw syntax(where)
  })
}

function requireMembers(value: JsonObject, known: readonly string[], where: string): void {
  if (Object.keys(value).every((name) => known.includes(name))) return
  throw new KmsError('POLICY_INVALID', `Syntax errors in policy: ${where} has an unknown element.`, {})
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Says which part is wrong and never what it holds. */
function syntax(where: string): KmsError<'POLICY_INVALID'> {
  return new KmsError('POLICY_INVALID', `Syntax errors in policy: ${where}.`, {})
}
