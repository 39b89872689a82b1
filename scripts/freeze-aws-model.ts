/**
 * Writes test/support/aws-service-model.json: the members and constraints of the inputs of AWS KMS, out of the service model
 * that botocore carries (`service-2.json`, or the same with `.gz`). The documentation in it is left out.
 *
 *     node scripts/freeze-aws-model.ts PATH 'botocore 1.43.11'
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

const TARGET = new URL('../test/support/aws-service-model.json', import.meta.url)
const KEPT = ['type', 'required', 'min', 'max', 'pattern', 'enum'] as const

interface Shape {
  readonly [facet: string]: unknown
  readonly members?: Readonly<Record<string, { readonly shape: string }>>
  readonly member?: { readonly shape: string }
  readonly key?: { readonly shape: string }
  readonly value?: { readonly shape: string }
}

interface Operation {
  readonly input?: { readonly shape: string }
  readonly errors?: readonly { readonly shape: string }[]
}

interface ServiceModel {
  readonly operations: Readonly<Record<string, Operation>>
  readonly shapes: Readonly<Record<string, Shape>>
}

const [path, source] = process.argv.slice(2)
if (path === undefined || source === undefined) {
  process.stderr.write('usage: node scripts/freeze-aws-model.ts PATH SOURCE\n')
  process.exit(64)
}
const bytes = readFileSync(path)
const model = JSON.parse((path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')) as ServiceModel

const shapes: Record<string, unknown> = {}
const operations: Record<string, unknown> = {}
for (const [name, { input, errors = [] }] of Object.entries(model.operations)) {
  if (input) keep(input.shape)
  operations[name] = { input: input?.shape ?? null, errors: errors.map(({ shape }) => shape) }
}
const sorted = Object.fromEntries(Object.entries(shapes).toSorted(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(TARGET, `${JSON.stringify({ source, operations, shapes: sorted }, null, 2)}\n`)

function keep(name: string): void {
  if (Object.hasOwn(shapes, name)) return
  const shape = model.shapes[name]
  if (!shape) throw new Error(`the model has no shape ${name}`)
  const { members = {}, member, key, value } = shape
  const kept = KEPT.filter((facet) => facet in shape).map((facet) => [facet, shape[facet]])
  const inner = { ...(member && { member: member.shape }), ...(key && { key: key.shape }) }
  shapes[name] = {
    ...Object.fromEntries(kept),
    ...inner,
    ...(value && { value: value.shape }),
    ...(shape.members && {
      members: Object.fromEntries(Object.entries(members).map(([one, { shape: of }]) => [one, of])),
    }),
  }
  const next = [...Object.values(members), member, key, value].filter((one) => one !== undefined)
  for (const { shape: inside } of next) keep(inside)
}
