import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { AWS_FAULT_NAMES } from '../../../src/http/aws/fault.ts'
import { AWS_OPERATIONS } from '../../../src/http/aws/operations.ts'
import { requireValid } from '../../../src/http/aws/validation.ts'
import {
  SDK_ERRORS,
  SDK_OPERATIONS,
  type SdkOperation,
  SERVICE_MODEL,
  sdkEnum,
} from '../../support/aws-model.ts'

/** Members of answers that are never sent, by name, and why. */
const UNSENT: Readonly<Record<string, string>> = {
  CiphertextForRecipient: 'Recipient is refused',
  CloudHsmClusterId: 'there are no custom key stores',
  CloudTrailEventId: 'there is no such trail',
  CustomKeyStoreId: 'there are no custom key stores',
  XksKeyConfiguration: 'there are no custom key stores',
  'XksKeyConfiguration.Id': 'there are no custom key stores',
  EncapsulationAlgorithms: 'no key of these specs is made',
}

/** Errors that are never answered, and why. */
const UNANSWERED: Readonly<Record<string, string>> = {}
const NO_CUSTOM_KEY_STORES = /^(?:CloudHsmCluster|CustomKeyStore|Xks|IncorrectTrustAnchor)/

const ROWS = SDK_OPERATIONS.flatMap((operation) => {
  const row = AWS_OPERATIONS.get(operation.name)
  return row ? [{ operation, row, title: operation.name }] : []
})
const REFUSED = new Set<string>(ROWS.flatMap(({ row }) => row.refuses))

/** What encodes answers: the rows and what they share. */
const ENCODERS = sourcesUnder(new URL('../../../src/http/aws/', import.meta.url)).join('\n')

it('reads a model that is there', () => {
  expect(SDK_OPERATIONS.length).toBeGreaterThanOrEqual(56)
  expect(ROWS.map(({ title }) => title).toSorted()).toEqual([...AWS_OPERATIONS.keys()].toSorted())
  const encrypt = SDK_OPERATIONS.find(({ name }) => name === 'Encrypt')
  expect(encrypt?.output).toEqual(['CiphertextBlob', 'KeyId', 'EncryptionAlgorithm'])
  expect(sdkEnum('CreateKeyRequest', 'KeySpec')).toContain('ECC_NIST_EDWARDS25519')
  expect(sdkEnum('CreateGrantRequest', 'Operations')).toContain('ReEncryptFrom')
})

it.each(ROWS)('$title has a place for every member of its input', ({ operation, row }) => {
  const known = membersOf(row.body)
  const opaque = new Set<string>(row.refuses)
  const missing = operation.input.filter(
    (member) => !known.includes(member) && !opaque.has(member.split('.')[0] ?? ''),
  )
  expect(missing).toEqual([])
  const top = new Set(operation.input.map((member) => member.split('.')[0] ?? ''))
  expect(known.filter((member) => !top.has(member.split('.')[0] ?? ''))).toEqual([])
  expect(row.refuses.filter((member) => !known.includes(member))).toEqual([])
})

it.each(ROWS)('$title knows every value of its enumerations, and no other', ({ operation, row }) => {
  const structure = `${operation.name}Request`
  const unlike = operation.input.flatMap((member) => {
    const values = member.includes('.') ? undefined : sdkEnum(structure, member)
    if (!values || (row.refuses as readonly string[]).includes(member)) return []
    const ours = enumOf(row.body, member)
    const equal = JSON.stringify(ours.toSorted()) === JSON.stringify(values.toSorted())
    return equal ? [] : [{ member, ours, values }]
  })
  expect(unlike).toEqual([])
})

it.each(ROWS)('$title has an encoder for every member of its answer', ({ operation }) => {
  const missing = operation.output.filter((member) => {
    if (member.startsWith('CustomKeyStores')) return false
    const name = member.split('.').at(-1) ?? ''
    const unsent = Object.hasOwn(UNSENT, member.split('.').slice(-2).join('.')) || Object.hasOwn(UNSENT, name)
    return !unsent && !new RegExp(`\\b${name}\\b['"]?\\s*[:,}\\]]`).test(ENCODERS)
  })
  expect(missing).toEqual([])
})

it('documents every member that is refused', () => {
  const page = readFileSync(new URL('../../../docs/divergences/aws.md', import.meta.url), 'utf8')
  expect([...REFUSED].filter((member) => !page.includes(`\`${member}`))).toEqual([])
})

it('can answer every error of the model that an operation carried out may have', () => {
  const models = (operation: SdkOperation, error: string) =>
    SERVICE_MODEL.operations[operation.name]?.errors.includes(error)
  const due = SDK_ERRORS.filter((error) => {
    if (NO_CUSTOM_KEY_STORES.test(error) || Object.hasOwn(UNANSWERED, error)) return false
    return ROWS.some(({ operation }) => models(operation, error))
  })
  expect(due.length).toBeGreaterThan(5)
  expect(due.filter((error) => !(AWS_FAULT_NAMES as readonly string[]).includes(error))).toEqual([])
  const answered = Object.keys(UNANSWERED).filter((error) =>
    (AWS_FAULT_NAMES as readonly string[]).includes(error),
  )
  expect(answered).toEqual([])
})

/** Members that a row checks, with those of structures inside. */
function membersOf(schema: unknown): string[] {
  const inner = unwrapped(schema)
  if (!(inner instanceof z.ZodObject)) return []
  return Object.entries(inner.shape).flatMap(([name, member]) => [
    name,
    ...membersOf(member).map((one) => `${name}.${one}`),
  ])
}

/** What is checked in the end: the object of an optional one, the items of a list. */
function unwrapped(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault)
    return unwrapped(schema.unwrap())
  if (schema instanceof z.ZodPipe) return unwrapped(schema.out)
  if (schema instanceof z.ZodArray) return unwrapped(schema.element)
  return schema
}

/** The values that a refusal tells of. */
function enumOf(body: z.ZodType, member: string): string[] {
  const told = [refusal(body, { [member]: '-' }), refusal(body, { [member]: ['-'] })]
  const pattern = new RegExp(
    `at '${member.charAt(0).toLowerCase()}${member.slice(1)}(?:\\.1\\.member)?' failed [^[;]*enum value set: \\[([^\\]]*)\\]`,
  )
  return told.flatMap((text) => pattern.exec(text)?.[1]?.split(', ') ?? [])
}

function refusal(body: z.ZodType, members: Record<string, unknown>): string {
  try {
    requireValid(body, members)
    return ''
  } catch (error) {
    return String(error)
  }
}

function sourcesUnder(folder: URL): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? sourcesUnder(new URL(`${entry.name}/`, folder))
      : [readFileSync(new URL(entry.name, folder), 'utf8')],
  )
}
