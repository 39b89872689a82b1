import { readFileSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { ENVIRONMENT_OVERRIDES } from '../src/config/environment.ts'
import { CONFIG_SCHEMA } from '../src/config/schema.ts'

/** The parts of JSON Schema that zod gives for the configuration. */
interface SchemaNode {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
  readonly additionalProperties?: SchemaNode | boolean
  readonly required?: readonly string[]
}

const FILE = new URL('../docs/config.md', import.meta.url)

const HEAD = `# Configuration

One YAML file (\`p11kms serve --config FILE\`; by default \`$P11KMS_CONFIG\`, else \`$P11KMS_HOME/config.yaml\`). Unknown fields are
refused, and \`p11kms config check\` lists every problem with its path. Relative paths are relative to the file's folder. A secret
is named by \`file\`, \`fd\` or \`env\`, never written into the file.

This page is rendered from the schema by \`node scripts/render-config-docs.ts\`; a check keeps it current.

| Field | Type | Default | Meaning |
| --- | --- | --- | --- |
`

const OVERRIDES = `
## Environment variables

For containers, these override the file:

| Variable | Field |
| --- | --- |
`

/** The page as the schema has it now. */
function render(): string {
  const schema = z.toJSONSchema(CONFIG_SCHEMA, { io: 'input' }) as SchemaNode
  const rows = rowsOf(schema, '').map((cells) => `| ${cells.join(' | ')} |`)
  const overrides = ENVIRONMENT_OVERRIDES.map(
    ({ variable, section, setting }) => `| \`${variable}\` | \`${section}.${setting}\` |`,
  )
  return `${HEAD}${rows.join('\n')}\n${OVERRIDES}${overrides.join('\n')}\n`
}

function rowsOf(node: SchemaNode, path: string): string[][] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const required = node.required?.includes(name) ?? false
    const childPath = path === '' ? name : `${path}.${name}`
    const inner = child.type === 'array' ? child.items : child
    const innerPath = child.type === 'array' ? `${childPath}[]` : childPath
    const isGroup = inner?.properties !== undefined
    const fallback = isGroup ? '' : required ? 'required' : defaultOf(child)
    const row = [`\`${innerPath}\``, typeOf(child), fallback, child.description ?? '']
    return [row, ...(isGroup ? rowsOf(inner, innerPath) : [])]
  })
}

function typeOf(node: SchemaNode): string {
  if (node.enum) return node.enum.map((value) => `\`${value}\``).join(', ')
  if (node.type === 'array') return 'list'
  if (node.type === 'object') return node.properties ? 'group' : 'map of text'
  if (node.minimum !== undefined && node.maximum !== undefined) return `${node.minimum} to ${node.maximum}`
  return node.type === 'string' ? 'text' : (node.type ?? '')
}

function defaultOf(node: SchemaNode): string {
  return node.default === undefined ? '' : `\`${JSON.stringify(node.default)}\``
}

const page = render()
if (process.argv.includes('--check')) {
  if (readFileSync(FILE, 'utf8') !== page) {
    console.error('docs/config.md is not what the schema says; run: node scripts/render-config-docs.ts')
    process.exitCode = 1
  } else {
    console.log('docs/config.md is current')
  }
} else {
  writeFileSync(FILE, page)
}
