import { expect, it } from 'vitest'
import type { AwsOperation } from '../../../src/http/aws/operation.ts'
import { AWS_OPERATIONS } from '../../../src/http/aws/operations.ts'
import { requireValid } from '../../../src/http/aws/validation.ts'
import { SERVICE_MODEL, type Shape } from '../../support/aws-model.ts'

/** Where a row means to be other than the model, with what it has instead: docs/divergences/aws.md says why. */
const OWN_LIMITS: Readonly<Record<string, Pick<Shape, 'min' | 'max' | 'pattern'>>> = {
  'ListAliases.Limit': { max: 100 },
  'ListGrants.Limit': { max: 100 },
  'ListRetirableGrants.Limit': { max: 100 },
  'ListResourceTags.Limit': { max: 50 },
  'ScheduleKeyDeletion.PendingWindowInDays': { min: 7, max: 30 },
}

/** The model lets it be left out for DryRunModifiers alone. */
const WITHOUT_MODIFIERS = 'CiphertextBlob'

/** The SDK's model, which is newer, lets a service be named instead. */
const SINCE_OPTIONAL = ['CreateGrant.GranteePrincipal', 'ListRetirableGrants.RetiringPrincipal']

/** Enumerations are compared with the SDK's, which are newer, elsewhere (model-walk.test.ts). */
interface Member {
  readonly operation: string
  readonly row: AwsOperation
  /** Names from the top; an item of a list is `0`. */
  readonly path: readonly (string | 0)[]
  readonly shape: Shape
  readonly required: boolean
  readonly title: string
}

/** Text of a length that fits the patterns of the model, where any of that length does. */
function textOf(length: number, pattern: string | undefined): string {
  const candidates = ['1', 'a', 'A'].map((letter) => letter.repeat(length))
  candidates.push(`us-east-${'1'.repeat(Math.max(1, length - 8))}`.slice(0, length))
  return candidates.find((text) => fits(pattern, text)) ?? candidates[0] ?? ''
}

function fits(pattern: string | undefined, text: string): boolean {
  return pattern === undefined || new RegExp(`^(?:${pattern})$`, 'u').test(text)
}

/** Something of a shape that breaks nothing. */
function sampleOf(name: string): unknown {
  const shape = shapeOf(name)
  const { type, min = 1, pattern, members = {}, required = [] } = shape
  if (shape.enum) return shape.enum[0]
  if (type === 'string') return textOf(Math.max(min, 12), pattern)
  if (type === 'integer') return Math.max(min, 7)
  if (type === 'boolean') return false
  if (type === 'blob') return Buffer.alloc(Math.max(min, 1), 7).toString('base64')
  if (type === 'timestamp') return 4_000_000_000
  if (type === 'list') return [sampleOf(shape.member ?? '')]
  if (type === 'map') return { a: 'b' }
  return Object.fromEntries(required.map((member) => [member, sampleOf(members[member] ?? '')]))
}

function shapeOf(name: string): Shape {
  const shape = SERVICE_MODEL.shapes[name]
  if (!shape) throw new Error(`no shape ${name}`)
  return shape
}

const MEMBERS: readonly Member[] = [...AWS_OPERATIONS].flatMap(([operation, row]) => {
  const input = SERVICE_MODEL.operations[operation]?.input
  return typeof input === 'string' ? membersOf(operation, row, shapeOf(input), []) : []
})

function membersOf(
  operation: string,
  row: AwsOperation,
  structure: Shape,
  above: Member['path'],
): readonly Member[] {
  return Object.entries(structure.members ?? {}).flatMap(([name, of]) => {
    // Its inside is never looked at.
    if (name === 'Recipient' || (row.refuses as readonly string[]).includes(name)) return []
    const path = [...above, name]
    const title = `${operation}.${path.join('.')}`
    const shape = { ...shapeOf(of), ...OWN_LIMITS[title] }
    const modelled = structure.required?.includes(name) === true && !SINCE_OPTIONAL.includes(title)
    const required = modelled || name === WITHOUT_MODIFIERS
    const member = { operation, row, path, shape, required, title }
    if (shape.type === 'structure') return [member, ...membersOf(operation, row, shape, path)]
    const item = shape.member === undefined ? undefined : shapeOf(shape.member)
    if (!item) return [member]
    const itemPath = [...path, 0 as const]
    const inside =
      item.type === 'structure'
        ? membersOf(operation, row, item, itemPath)
        : [{ operation, row, path: itemPath, shape: item, required: false, title: `${title}.0` }]
    return [member, ...inside]
  })
}

/** What a row says to a value at the member, all others of the request being right: `undefined` where it takes it. */
function answerTo({ operation, row, path }: Member, value: unknown): string | undefined {
  const input = SERVICE_MODEL.operations[operation]?.input ?? ''
  const request = structuredClone(sampleOf(input)) as Record<string, unknown>
  const blob = shapeOf(input).members?.[WITHOUT_MODIFIERS]
  if (blob !== undefined) request[WITHOUT_MODIFIERS] ??= sampleOf(blob)
  let place: Record<string | number, unknown> = request
  let shape = shapeOf(input)
  for (const [index, part] of path.entries()) {
    const of = part === 0 ? (shape.member ?? '') : (shape.members?.[part] ?? '')
    if (index === path.length - 1) {
      if (value === undefined) delete place[part]
      else place[part] = value
    } else {
      place[part] ??= sampleOf(of)
      place = place[part] as Record<string | number, unknown>
      shape = shapeOf(of)
    }
  }
  try {
    requireValid(row.body, request)
    return undefined
  } catch (error) {
    const { type, message } = error as { readonly type: string; readonly message: string }
    return `${type}: ${message}`
  }
}

/** `tags.1.member.tagKey` */
function pathText(path: Member['path']): string {
  return path
    .map((part) => (part === 0 ? '1.member' : part.charAt(0).toLowerCase() + part.slice(1)))
    .join('.')
}

const WRONG_TYPES: Readonly<Record<Shape['type'], readonly unknown[]>> = {
  string: [5, true, {}, []],
  integer: ['8', 8.5, true, {}, []],
  boolean: ['true', 1, {}, []],
  blob: [5, true, {}, [], '?', 'QUJ', 'QU=D'],
  timestamp: ['soon', true, {}, []],
  list: ['x', 5, {}],
  map: ['x', 5, ['x'], { a: 1 }, { a: null }],
  structure: ['x', 5, []],
}

/** Values of a member's length or size, with whether they keep the constraints. */
function sized({ shape }: Member, size: number): unknown {
  if (shape.type === 'integer') return size
  if (shape.type === 'blob') return Buffer.alloc(size, 7).toString('base64')
  if (shape.type === 'list') return Array.from({ length: size }, () => sampleOf(shape.member ?? ''))
  return textOf(size, shape.pattern)
}

function bounded(facet: 'min' | 'max'): readonly Member[] {
  return MEMBERS.filter(({ shape }) => {
    const bound = shape[facet]
    const sizes = ['integer', 'blob', 'list', 'string'].includes(shape.type)
    return bound !== undefined && sizes && !shape.enum && (facet === 'max' || bound > 0)
  })
}

const prefix = (path: Member['path']) => `at '${pathText(path)}' failed to satisfy constraint: Member must `

it('finds the constraints of every row', () => {
  expect(MEMBERS.length).toBeGreaterThan(40)
  expect(bounded('min').length).toBeGreaterThan(20)
})

it.each(MEMBERS)('$title of another JSON type cannot be read', (member) => {
  for (const value of WRONG_TYPES[member.shape.type]) {
    expect(answerTo(member, value), JSON.stringify(value)).toMatch(/^SerializationException: /)
  }
})

it.each(MEMBERS)('$title may be left out exactly where the model says so', (member) => {
  if (member.path.at(-1) === 0) return expect(member.required).toBe(false)
  const answer = answerTo(member, undefined)
  const text = `ValidationException: 1 validation error detected: Value null ${prefix(member.path)}not be null`
  expect(answer).toBe(member.required ? text : undefined)
})

it.each(bounded('min'))('$title may be as small as the model says and no smaller', (member) => {
  const { shape, path } = member
  const min = shape.min ?? 0
  const at = sized(member, min)
  if (typeof at !== 'string' || shape.type === 'blob' || fits(shape.pattern, at))
    expect(answerTo(member, at)).toBeUndefined()
  const measure = shape.type === 'integer' ? 'value' : 'length'
  expect(answerTo(member, sized(member, min - 1))).toContain(
    `${prefix(path)}have ${measure} greater than or equal to ${min}`,
  )
})

it.each(bounded('max'))('$title may be as large as the model says and no larger', (member) => {
  const { shape, path } = member
  const max = shape.max ?? 0
  const [at, over] = [sized(member, max), sized(member, max + 1)]
  const fitting = (value: unknown) =>
    typeof value !== 'string' || shape.type === 'blob' || fits(shape.pattern, value)
  if (fitting(at)) expect(answerTo(member, at)).toBeUndefined()
  const measure = shape.type === 'integer' ? 'value' : 'length'
  const answer = answerTo(member, over)
  expect(answer).toContain(`${prefix(path)}have ${measure} less than or equal to ${max}`)
  if (fitting(over)) expect(answer).toMatch(/^ValidationException: 1 validation error detected: /)
})

it.each(MEMBERS.filter(({ shape }) => shape.type === 'blob'))(
  '$title is not repeated when it is too long',
  (member) => {
    const over = String(sized(member, (member.shape.max ?? 0) + 1))
    expect(answerTo(member, over)).toContain(`: Value ${prefix(member.path)}`)
  },
)

it.each(MEMBERS.filter(({ shape }) => shape.pattern !== undefined))(
  '$title must be of the pattern of the model',
  (member) => {
    const { shape, path } = member
    const wrong = ['\u0100', ' ', '\u0001'].map(
      (bad) => `${textOf(Math.max(1, (shape.min ?? 1) - 1), undefined)}${bad}`,
    )
    const broken = wrong.filter((text) => !fits(shape.pattern, text) && text.length <= (shape.max ?? 1))
    expect(broken.length).toBeGreaterThan(0)
    for (const text of broken) {
      expect(answerTo(member, text)).toContain(
        `${prefix(path)}satisfy regular expression pattern: ${shape.pattern}`,
      )
    }
  },
)

it.each(MEMBERS.filter(({ shape }) => shape.enum !== undefined))(
  '$title takes the values of its enumeration alone',
  (member) => {
    for (const value of member.shape.enum ?? []) expect(answerTo(member, value)).toBeUndefined()
    const [value = ''] = member.shape.enum ?? []
    for (const wrong of ['', 'INVALID', value.toLowerCase(), `${value} `]) {
      const answer = answerTo(member, wrong)
      expect(answer).toContain(
        `ValidationException: 1 validation error detected: Value '${wrong}' ${prefix(member.path)}satisfy enum value set: [`,
      )
    }
  },
)
