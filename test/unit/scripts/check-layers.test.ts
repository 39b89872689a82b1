import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { expect, it, vi } from 'vitest'
import { checkLayers } from '../../../scripts/check-layers.ts'
import { fixture } from './fixture.ts'

vi.setConfig({ testTimeout: 30_000 }) // each test starts a process that loads TypeScript

/** A source tree under the project's own rules. */
function tree(files: Readonly<Record<string, string>>, rules?: string): string {
  return fixture({
    '.dependency-cruiser.cjs': rules ?? readFileSync('.dependency-cruiser.cjs', 'utf8'),
    'tsconfig.json': readFileSync('tsconfig.json', 'utf8'),
    'package.json': '{ "type": "module" }',
    ...files,
  })
}

it('passes a tree that keeps to its layers', () => {
  const root = tree({
    'src/lib/bytes.ts': 'export const a = 1\n',
    'src/core/key.ts': "import { a } from '../lib/bytes.ts'\nexport const b = a\n",
  })
  expect(checkLayers(root)).toEqual({ problems: [], summary: 'layers: 2 files keep to them' })
})

it('names an import against the arrow, also of a type alone', () => {
  const root = tree({
    'src/lib/bytes.ts': "import type { B } from '../core/key.ts'\nexport const a: B = 1\n",
    'src/core/key.ts': 'export type B = number\n',
  })
  expect(checkLayers(root).problems).toEqual([
    'src/lib/bytes.ts: imports src/core/key.ts (lib-imports-only-itself)',
  ])
})

it('names a cycle', () => {
  const root = tree({
    'src/lib/a.ts': "import { b } from './b.ts'\nexport const a = () => b\n",
    'src/lib/b.ts': "import { a } from './a.ts'\nexport const b = () => a\n",
  })
  expect(checkLayers(root).problems.join('\n')).toContain('(no-cycles)')
})

it('names a file that was not cruised, as with a TypeScript that dependency-cruiser does not know', () => {
  const rules = "module.exports = { forbidden: [], options: { exclude: { path: '^src/core' } } }"
  const root = tree({ 'src/lib/a.ts': 'export {}\n', 'src/core/b.ts': 'export {}\n' }, rules)
  expect(checkLayers(root).problems).toEqual(['src/core/b.ts: was not cruised'])
})

it('fails a tree without a source file', () => {
  expect(checkLayers(tree({ 'src/notes.md': '' })).problems).toEqual(['src: has no TypeScript file'])
})

interface Rule {
  readonly name: string
  readonly from: { readonly path?: string }
  readonly to: { readonly path?: string | readonly string[] }
}
const { forbidden } = createRequire(import.meta.url)('../../../.dependency-cruiser.cjs') as {
  readonly forbidden: readonly Rule[]
}

const byText = (a: string | readonly string[] | undefined, b: string | readonly string[] | undefined) =>
  String(a) < String(b) ? -1 : 1

it('has a rule for every folder of src, and for no other', () => {
  const folders = readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const ruled = forbidden.filter(({ name }) => name.includes('-imports-only-')).map(({ from }) => from.path)
  expect(ruled.toSorted(byText)).toEqual(folders.map(({ name }) => `^src/${name}/`).toSorted(byText))
})

it('has a home for every package that the program runs on', () => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>
  }
  const homes = forbidden.filter(({ name }) => name.includes('-lives-in-')).flatMap(({ to }) => to.path)
  expect(homes.toSorted(byText)).toEqual(
    Object.keys(dependencies)
      .map((name) => `^node_modules/${name}/`)
      .toSorted(byText),
  )
})
