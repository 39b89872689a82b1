import { expect, it } from 'vitest'
import { checkDependencies, isPermissive } from '../../../scripts/check-dependencies.ts'
import { fixture } from './fixture.ts'

const ROW = '| `left` | MIT | Pads | someone | 1 kB | core |'

interface Tree {
  readonly version?: string
  readonly rows?: string
  readonly licence?: string
  readonly tree?: object
  readonly allowScripts?: object
}

/** One package, `left`, in order; each test puts one thing out of order. */
function problems({ version = '1.0.0', rows = ROW, licence = 'MIT', tree = {}, allowScripts }: Tree) {
  const root = fixture({
    'package.json': JSON.stringify({ dependencies: { left: version }, allowScripts }),
    'package-lock.json': JSON.stringify({ packages: { '': {}, 'node_modules/left': { version }, ...tree } }),
    'node_modules/left/package.json': JSON.stringify({ license: licence }),
    'docs/dependencies.md': `| Package | Licence |\n| --- | --- |\n${rows}\n`,
  })
  return checkDependencies(root).problems
}

it('passes a pinned, documented, permissively licensed package', () => {
  expect(problems({})).toEqual([])
})

it('names a version that is a range', () => {
  expect(problems({ version: '^1.0.0' })).toEqual(['package.json: left is "^1.0.0"; pin one exact version'])
})

it('names a version that the lock file has otherwise', () => {
  expect(problems({ tree: { 'node_modules/left': { version: '1.0.1' } } })).toEqual([
    'package-lock.json: left is 1.0.1, package.json says 1.0.0',
  ])
})

it('names a package without a row, a row without a package and a row with a gap', () => {
  expect(problems({ rows: '' })).toEqual(['docs/dependencies.md: no row for left'])
  expect(problems({ rows: `${ROW}\n| \`right\` | MIT | a | b | c | d |` })).toEqual([
    'docs/dependencies.md: right is not in package.json',
  ])
  expect(problems({ rows: '| `left` | MIT | Pads | someone | | core |' })).toEqual([
    'docs/dependencies.md: left lacks weight',
  ])
})

it('reads the licence from the installed package, not from the row', () => {
  expect(problems({ licence: 'GPL-3.0' })).toEqual([
    'docs/dependencies.md: left is under GPL-3.0, the row says MIT',
    'package-lock.json: node_modules/left is under GPL-3.0, which is not on the list of permissive licences',
  ])
})

it('names a licence that is not permissive anywhere in the tree, and a package without one', () => {
  const tree = {
    'node_modules/left/node_modules/@deep/er': { license: 'AGPL-3.0' },
    'node_modules/bare': {},
  }
  expect(problems({ tree })).toEqual([
    'package-lock.json: node_modules/left/node_modules/@deep/er is under AGPL-3.0, which is not on the list of permissive licences',
    'package-lock.json: node_modules/bare is under no licence, which is not on the list of permissive licences',
  ])
})

it('excepts lightningcss as a development package alone', () => {
  const lightningcss = { license: 'MPL-2.0' }
  expect(problems({ tree: { 'node_modules/lightningcss': { ...lightningcss, dev: true } } })).toEqual([])
  expect(problems({ tree: { 'node_modules/lightningcss': lightningcss } })).toHaveLength(1)
})

it('names an install script that nobody decided on', () => {
  const tree = { 'node_modules/native': { license: 'MIT', hasInstallScript: true } }
  expect(problems({ tree })).toEqual([
    'package-lock.json: node_modules/native has an install script; decide on it in allowScripts of package.json',
  ])
  expect(problems({ tree, allowScripts: { native: false } })).toEqual([])
})

it.each([
  ['MIT', true],
  ['(MIT OR GPL-3.0)', true],
  ['MIT AND GPL-3.0', false],
  ['MIT AND ISC', true],
  ['SEE LICENSE IN x', false],
])('judges the licence expression %s as %s', (expression, permissive) => {
  expect(isPermissive(expression)).toBe(permissive)
})
