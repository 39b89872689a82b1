import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { SEED_SCHEMA } from '../../../src/config/seed-schema.ts'
import { CHECK_CODES } from '../../../src/core/inspection/doctor-report.ts'
import { FINDING_CODES } from '../../../src/core/inspection/object-report.ts'
import { AWS_FAULTS } from '../../../src/http/aws/errors.ts'
import { CUSTOM_KEY_STORE_OPERATIONS } from '../../../src/http/aws/operations/custom-key-stores.ts'
import { ENCAPSULATION_OPERATIONS } from '../../../src/http/aws/operations/encapsulation.ts'
import { AWS_OPERATIONS } from '../../../src/http/aws/operations.ts'

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')

/** Text of each `## CODE` section of docs/errors.md. */
function sections(): ReadonlyMap<string, string> {
  const parts = read('docs/errors.md').split(/^## /m).slice(1)
  return new Map(parts.map((part) => [part.split('\n', 1)[0] ?? '', part]))
}

describe('docs/errors.md', () => {
  it('has a section for every error code and none besides', () => {
    expect([...sections().keys()].toSorted()).toEqual(Object.keys(AWS_FAULTS).toSorted())
  })

  it.each(Object.entries(AWS_FAULTS))(
    'says of %s what to do about it, and what AWS calls it',
    (code, [name]) => {
      const section = sections().get(code) ?? ''
      expect(section).toContain('*Caller:*')
      expect(section).toContain('*Operator:*')
      expect(section.slice(section.indexOf('AWS:'))).toContain(`\`${name}\``)
    },
  )
})

describe('docs/adr', () => {
  const files = readdirSync(new URL('../../../docs/adr', import.meta.url)).toSorted()

  it('numbers its records without a gap, each number once', () => {
    expect(files.length).toBeGreaterThan(10)
    expect(files.map((name) => Number(name.slice(0, 4)))).toEqual(files.map((_name, index) => index + 1))
  })

  it.each(files)('%s opens with its number', (name) => {
    expect(read(`docs/adr/${name}`)).toMatch(new RegExp(`^# ${name.slice(0, 4)} `))
  })
})

describe('docs/operating/looking-into-tokens.md', () => {
  it('has a row for every finding of an inventory and none besides', () => {
    const rows = read('docs/operating/looking-into-tokens.md').matchAll(
      /^\| `([A-Z_]+)` \| (?:error|warning|info)/gm,
    )
    expect([...rows].map(([, code]) => code)).toEqual(FINDING_CODES)
  })
})

describe('docs/operating/doctor.md', () => {
  it('has a row for every check and none besides', () => {
    const rows = [...read('docs/operating/doctor.md').matchAll(/^\| `([A-Z_]+)` \|/gm)].map(
      ([, code]) => code,
    )
    expect(new Set(rows)).toEqual(new Set(CHECK_CODES))
    expect(rows).toHaveLength(CHECK_CODES.length)
  })
})

describe('docs/operating/ci.md', () => {
  it('has a row for every field of a seed and none besides', () => {
    const rows = read('docs/operating/ci.md').matchAll(/^\| `((?:regions|accounts|keys)\[\][^`]*)` \|/gm)
    expect([...rows].map(([, path]) => path)).toEqual(
      fieldsOf(z.toJSONSchema(SEED_SCHEMA, { io: 'input' }) as SchemaNode),
    )
  })
})

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
}

/** Paths of all fields; the ways to name a secret are the configuration's. */
function fieldsOf({ properties = {} }: SchemaNode, path = ''): string[] {
  return Object.entries(properties).flatMap(([name, child]) => {
    const own = `${path}${name}${child.items ? '[]' : ''}`
    return [own, ...fieldsOf(child.items ?? child, `${own}.`)]
  })
}

describe('README.md', () => {
  it('names every operation that works today', () => {
    const today = read('README.md')
      .split('\n')
      .filter((line) => line.startsWith('| AWS KMS'))
      .map((line) => line.split('|')[2] ?? '')
      .join()
    const never = { ...CUSTOM_KEY_STORE_OPERATIONS, ...ENCAPSULATION_OPERATIONS }
    const works = [...AWS_OPERATIONS.keys()].filter((name) => !(name in never))
    const missing = works.filter((name) => !new RegExp(`\\b${name}\\b`).test(today))
    expect(missing).toEqual([])
  })
})
