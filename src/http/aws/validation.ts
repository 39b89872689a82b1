import { isUtf8 } from 'node:buffer'
import type { z } from 'zod'
import { AwsFault, validation } from './fault.ts'

type Issue = z.core.$ZodIssue
type JsonObject = Record<string, unknown>

/** Broken constraints that a message tells of; it counts all. */
const DESCRIBED_MAX = 10

/** Longest value that a message repeats. Characters. */
const SHOWN_CHARACTERS_MAX = 100

/** Blobs and secrets: their values are never repeated in a message. */
const BLOB_MEMBERS: ReadonlySet<PropertyKey> = new Set([
  'CiphertextBlob',
  'EncryptedKeyMaterial',
  'GrantToken',
  'GrantTokens',
  'ImportToken',
  'KeyStorePassword',
  'Mac',
  'Message',
  'Plaintext',
  'PublicKey',
  'Signature',
  'XksProxyAuthenticationCredential',
])

/**
 * The JSON object of a request body; an empty body is `{}`, as SDKs may send for an operation without members.
 * A `null` member is as good as absent (AWS JSON 1.1).
 *
 * @throws {@link AwsFault} `SerializationException` for bytes that are no UTF-8 text of a JSON object. Says nothing of
 *   what they are: they may hold a plaintext.
 */
export function parseJsonObject(body: Buffer): JsonObject {
  if (body.length === 0) return {}
  if (!isUtf8(body)) throw serialization('The request body is not valid UTF-8.')
  const value = parseJson(body.toString('utf8'))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw serialization('Start of structure or map found where not expected.')
  }
  const members = value as JsonObject
  for (const name of Object.keys(members)) if (members[name] === null) delete members[name]
  return members
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own error quotes the text.
    throw serialization('The request body is not valid JSON.')
  }
}

/**
 * Checks the members of a request.
 *
 * @throws {@link AwsFault} `SerializationException` for a member of the wrong JSON type, else `ValidationException` with
 *   the broken constraints, in AWS's words: the first {@link DESCRIBED_MAX} and the count of all.
 */
export function requireValid<Output>(schema: z.ZodType<Output>, members: JsonObject): Output {
  const result = schema.safeParse(members)
  if (result.success) return result.data
  const { issues } = result.error
  for (const issue of issues) refuseAtOnce(issue, members)
  const described = issues.slice(0, DESCRIBED_MAX)
  const texts = described.map((issue) => describe(issue, valueAt(members, issue.path)))
  if (described.length < issues.length) texts.push('…')
  const errors = issues.length === 1 ? 'error' : 'errors'
  throw validation(`${issues.length} validation ${errors} detected: ${texts.join('; ')}`)
}

const JSON_TYPES: Readonly<Record<string, string>> = {
  string: 'STRING_VALUE',
  number: 'NUMBER_VALUE',
  boolean: 'TRUE_VALUE',
}

/** A value of the wrong type, and one that a member's own check has a sentence for, are told of alone. */
function refuseAtOnce(issue: Issue, members: JsonObject): void {
  const { malformed, refused } = (issue.code === 'custom' && issue.params) || {}
  if (typeof malformed === 'string') throw serialization(malformed)
  if (typeof refused === 'string') throw validation(refused)
  const value = valueAt(members, issue.path)
  const wrongType =
    issue.code === 'invalid_type' || (issue.code === 'invalid_value' && typeof value !== 'string')
  if (!wrongType || value === undefined) return
  const given = JSON_TYPES[typeof value] ?? 'START_OBJECT'
  throw serialization(`${given} can not be converted to the type of ${pathText(issue.path)}.`)
}

function describe(issue: Issue, value: unknown): string {
  const path = pathText(issue.path)
  const hidden = typeof value === 'string' && issue.path.some((part) => BLOB_MEMBERS.has(part))
  const subject = value === undefined ? 'Value null' : hidden ? 'Value' : `Value '${printable(value)}'`
  return `${subject} at '${path}' failed to satisfy constraint: Member must ${constraint(issue, value)}`
}

/** Enum members and the like, cut where they are long; a list or a map is not printed. */
function printable(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return `${value}`
  if (typeof value !== 'string') return '…'
  return value.length > SHOWN_CHARACTERS_MAX ? `${value.slice(0, SHOWN_CHARACTERS_MAX)}…` : value
}

function constraint(issue: Issue, value: unknown): string {
  if (value === undefined) return 'not be null'
  if (issue.code === 'too_small') return `${measure(issue.origin)} greater than or equal to ${issue.minimum}`
  if (issue.code === 'too_big') return `${measure(issue.origin)} less than or equal to ${issue.maximum}`
  if (issue.code === 'invalid_value') return `satisfy enum value set: [${issue.values.join(', ')}]`
  if (issue.code === 'invalid_format')
    return `satisfy regular expression pattern: ${patternText(issue.pattern) ?? issue.format}`
  return issue.message
}

/** `/^a$/` is `^a$`, and what `wholly` anchored is as the service model has it. */
function patternText(pattern: string | undefined): string | undefined {
  const source = pattern?.slice(1, pattern.lastIndexOf('/'))
  return source && (/^\^\(\?:(.*)\)\$$/s.exec(source)?.[1] ?? source)
}

function measure(origin: string): string {
  return origin === 'number' || origin === 'int' ? 'have value' : 'have length'
}

/** `Tags[0].TagKey` is `tags.1.member.tagKey`. */
function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `${part + 1}.member` : lowerCamel(String(part))))
    .join('.')
}

function lowerCamel(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1)
}

function valueAt(members: JsonObject, path: readonly PropertyKey[]): unknown {
  let value: unknown = members
  for (const part of path) value = Object(value)[part]
  return value
}

function serialization(message: string): AwsFault {
  return new AwsFault('SerializationException', message)
}
