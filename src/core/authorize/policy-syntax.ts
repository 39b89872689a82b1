import { KmsError } from '../errors.ts'

/** What the policy languages of AWS and of Alibaba Cloud have in common: JSON documents of statements. */

/** Size of a key policy document in both (AWS KMS, "Resource quotas"; Alibaba Cloud KMS, "SetKeyPolicy"). Bytes. */
const POLICY_BYTES_MAX = 32_768

/** Whom a statement speaks of, by kind: `AWS`, `Service`, `RAM` and so on; everybody is `AWS: ['*']`. */
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

export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Reads a document down to its statements.
 *
 * @param text - As it is sent: 1 character or more.
 * @param members - What a document may have besides `Statement`; what `check` refuses is wrong with them.
 * @throws {@link KmsError} `LIMIT_EXCEEDED` past {@link POLICY_BYTES_MAX}; `POLICY_INVALID` with the part that is wrong and never its text.
 */
export function parseDocument(
  text: string,
  members: readonly string[],
  check: (document: JsonObject) => void,
): readonly JsonObject[] {
  if (Buffer.byteLength(text) > POLICY_BYTES_MAX) {
    const limit = 'policy'
    throw new KmsError('LIMIT_EXCEEDED', `A key policy has at most ${POLICY_BYTES_MAX} bytes.`, { limit })
  }
  const document = parseObject(text)
  requireMembers(document, [...members, 'Statement'], 'The policy')
  check(document)
  const { Statement } = document
  const statements = Array.isArray(Statement) ? (Statement as unknown[]) : [Statement]
  if (Statement === undefined || statements.length === 0) throw syntax('Statement')
  return statements.map((statement, index) => {
    if (!isObject(statement)) throw syntax(whereOf(index))
    return statement
  })
}

/** How errors name a statement. */
export function whereOf(index: number): string {
  return `Statement ${index + 1}`
}

/** @throws {@link KmsError} `POLICY_INVALID` */
export function requireEffect(value: unknown, where: string): PolicyStatement['effect'] {
  if (value === 'Allow' || value === 'Deny') return value
  throw syntax(`${where}, Effect`)
}

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

/** @throws {@link KmsError} `POLICY_INVALID`, as do all below. */
export function parseConditions(value: unknown, where: string): PolicyStatement['conditions'] {
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
export function strings(value: unknown, where: string): readonly string[] {
  const listed: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (listed.length === 0) throw syntax(where)
  return listed.map((one) => {
    if (typeof one === 'string' && one !== '') return one
    throw syntax(where)
  })
}

export function requireMembers(value: JsonObject, known: readonly string[], where: string): void {
  if (Object.keys(value).every((name) => known.includes(name))) return
  throw new KmsError('POLICY_INVALID', `Syntax errors in policy: ${where} has an unknown element.`, {})
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Says which part is wrong and never what it holds. */
export function syntax(where: string): KmsError<'POLICY_INVALID'> {
  return new KmsError('POLICY_INVALID', `Syntax errors in policy: ${where}.`, {})
}
