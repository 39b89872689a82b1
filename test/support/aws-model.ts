import { readFileSync } from 'node:fs'
import * as sdk from '@aws-sdk/client-kms'

/** What one shape of an input must be, as the service model has it. */
export interface Shape {
  readonly type: 'string' | 'integer' | 'boolean' | 'blob' | 'timestamp' | 'list' | 'map' | 'structure'
  readonly min?: number
  readonly max?: number
  readonly pattern?: string
  readonly enum?: readonly string[]
  readonly required?: readonly string[]
  readonly members?: Readonly<Record<string, string>>
  readonly member?: string
}

interface ServiceModel {
  readonly operations: Readonly<
    Record<string, { readonly input: string | null; readonly errors: readonly string[] }>
  >
  readonly shapes: Readonly<Record<string, Shape>>
}

/** Inputs, constraints and errors of AWS KMS (scripts/freeze-aws-model.ts). The SDK's model may have operations more. */
export const SERVICE_MODEL = JSON.parse(
  readFileSync(new URL('aws-service-model.json', import.meta.url), 'utf8'),
) as ServiceModel

/** The SDK's own description of a structure: a mark, namespace, name, traits, members, their schemas. */
type StructureSchema = readonly [
  3 | -3,
  string,
  string,
  unknown,
  readonly string[],
  readonly unknown[],
  number?,
]
type OperationSchema = readonly [
  9,
  string,
  string,
  unknown,
  () => StructureSchema | 'unit',
  () => StructureSchema | 'unit',
]

/** One operation of the newest installed `@aws-sdk/client-kms`. */
export interface SdkOperation {
  readonly name: string
  /** Every member, with those of its structures: `Tags`, `Tags.TagKey`. */
  readonly input: readonly string[]
  readonly output: readonly string[]
  /** JSON types of the answer's members, as `typeof` has them; structures and lists are `object`. */
  readonly outputTypes: ReadonlyMap<string, JsonType>
}

type JsonType = 'string' | 'number' | 'boolean' | 'object'

const EXPORTS = Object.entries(sdk) as readonly (readonly [string, unknown])[]

/** Marks of the SDK's schemas: numbers, times as numbers, and texts of texts and bytes. */
const JSON_TYPES: ReadonlyMap<unknown, JsonType> = new Map([
  [0, 'string'],
  [1, 'number'],
  [2, 'boolean'],
  [4, 'number'],
  [21, 'string'],
])

export const SDK_OPERATIONS: readonly SdkOperation[] = EXPORTS.flatMap(([, schema]) => {
  if (!Array.isArray(schema) || schema[0] !== 9) return []
  const [, , name, , input, output] = schema as unknown as OperationSchema
  const outputs = typesOf(output())
  return [
    {
      name,
      input: membersOf(input()),
      output: outputs.map(([member]) => member),
      outputTypes: new Map(outputs),
    },
  ]
})

/** Every error that the SDK has a class for. */
export const SDK_ERRORS: readonly string[] = EXPORTS.flatMap(([name, value]) =>
  typeof value === 'function' && name.endsWith('Exception') && name !== 'KMSServiceException' ? [name] : [],
)

function membersOf(schema: unknown): string[] {
  return typesOf(schema).map(([member]) => member)
}

function typesOf(schema: unknown): (readonly [member: string, type: JsonType])[] {
  const structure = structureOf(schema)
  if (!structure) return []
  const [, , , , names, schemas] = structure
  return names.flatMap((name, index) => [
    [name, jsonTypeOf(schemas[index])] as const,
    ...typesOf(schemas[index]).map(([inner, type]) => [`${name}.${inner}`, type] as const),
  ])
}

function jsonTypeOf(schema: unknown): JsonType {
  if (typeof schema === 'function') return jsonTypeOf((schema as () => unknown)())
  if (!Array.isArray(schema)) return JSON_TYPES.get(schema) ?? 'object'
  // A named simple type ends with its mark; a reference with traits begins with what it refers to.
  if (schema[0] === 0) return jsonTypeOf(schema[4])
  return typeof schema[0] === 'function' ? jsonTypeOf(schema[0]) : 'object'
}

/** The structure that a schema is, refers to, or is a list of. */
function structureOf(schema: unknown): StructureSchema | undefined {
  if (typeof schema === 'function') return structureOf((schema as () => unknown)())
  if (!Array.isArray(schema)) return undefined
  if (schema[0] === 3) return schema as unknown as StructureSchema
  if (schema[0] === 1) return structureOf(schema[4])
  return typeof schema[0] === 'function' ? structureOf(schema[0]) : undefined
}

/** Types of members and values of enumerations are in the SDK's declarations alone. */
const DECLARATIONS = readFileSync(
  new URL('../../node_modules/@aws-sdk/client-kms/dist-types/models/models_0.d.ts', import.meta.url),
  'utf8',
)

/** The values that the SDK knows of an input's member, where that is an enumeration or a list of one. */
export function sdkEnum(structure: string, member: string): readonly string[] | undefined {
  const body = new RegExp(`export interface ${structure} \\{(.*?)\\n\\}`, 's').exec(DECLARATIONS)?.[1] ?? ''
  const type = new RegExp(`^ {4}${member}\\??: (\\w+)(?:\\[\\])? \\| undefined;`, 'm').exec(body)?.[1]
  const values: unknown = type === undefined ? undefined : Reflect.get(sdk, type)
  return typeof values === 'object' && values !== null && !Array.isArray(values)
    ? Object.values(values).map(String)
    : undefined
}
