/**
 * Holds package.json, package-lock.json and docs/dependencies.md to each other: exact versions, a reason and an owner
 * per package, permissive licences in the whole tree, and install scripts only where package.json decided on them.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CheckResult, report } from './report.ts'

interface Manifest {
  readonly license?: unknown
  readonly licenses?: unknown
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly allowScripts?: Readonly<Record<string, boolean>>
}
interface LockedPackage {
  readonly version?: string
  readonly license?: string
  readonly dev?: boolean
  readonly hasInstallScript?: boolean
}

const EXACT = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/
const COLUMNS = ['package', 'licence', 'why', 'upkeep', 'weight', 'owner'] as const
const PERMISSIVE = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Python-2.0',
  'Unlicense',
])
/** Development packages under another licence, which nobody receives with p11kms; each with the reason it is fine. */
const DEVELOPMENT_EXCEPTIONS: readonly { readonly name: RegExp; readonly license: string }[] = [
  // File-level copyleft, used unmodified by vite inside vitest, never shipped.
  { name: /^lightningcss(?:-|$)/, license: 'MPL-2.0' },
  // Apache-2.0, not written as SPDX has it.
  { name: /^@darabonba\/typescript$/, license: 'Apache License 2.0' },
]

/** Whether an SPDX expression leaves us a permissive choice: any alternative of an OR, every part of an AND. */
export function isPermissive(expression: string): boolean {
  const plain = expression.replace(/^\((.*)\)$/, '$1')
  if (plain.includes(' OR ')) return plain.split(' OR ').some(isPermissive)
  if (plain.includes(' AND ')) return plain.split(' AND ').every(isPermissive)
  return PERMISSIVE.has(plain)
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T
}

/** The licence a package carries where it is installed; the lock file's word for other platforms' optional packages. */
function licenseOf(root: string, path: string, locked: LockedPackage): string {
  const manifest = join(root, path, 'package.json')
  const { license, licenses } = existsSync(manifest) ? readJson<Manifest>(manifest) : {}
  // Older packages list objects; each is a choice of ours.
  const types = Array.isArray(licenses) ? (licenses as readonly { readonly type?: string }[]) : []
  const installed = license ?? (types.length > 0 ? types.map(({ type }) => type).join(' OR ') : undefined)
  return typeof installed === 'string' ? installed : (locked.license ?? 'no licence')
}

function* treeProblems(
  root: string,
  manifest: Manifest,
  versions: Readonly<Record<string, string>>,
): Generator<string> {
  const lock = readJson<{ packages: Record<string, LockedPackage> }>(join(root, 'package-lock.json'))
  for (const [name, version] of Object.entries(versions)) {
    const locked = lock.packages[`node_modules/${name}`]?.version ?? 'absent'
    if (locked !== version) yield `package-lock.json: ${name} is ${locked}, package.json says ${version}`
  }
  for (const [path, locked] of Object.entries(lock.packages)) {
    if (path === '') continue
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const license = licenseOf(root, path, locked)
    const excepted = DEVELOPMENT_EXCEPTIONS.some((row) => row.name.test(name) && row.license === license)
    if (!isPermissive(license) && !(excepted && locked.dev === true)) {
      yield `package-lock.json: ${path} is under ${license}, which is not on the list of permissive licences`
    }
    if (locked.hasInstallScript === true && manifest.allowScripts?.[name] === undefined) {
      yield `package-lock.json: ${path} has an install script; decide on it in allowScripts of package.json`
    }
  }
}

/** The cells of each table row of docs/dependencies.md that opens with a package name in backticks. */
function documentedRows(root: string): Map<string, string[]> {
  const rows = new Map<string, string[]>()
  for (const line of readFileSync(join(root, 'docs/dependencies.md'), 'utf8').split('\n')) {
    const name = /^\| *`([^`]+)` *\|/.exec(line)?.[1]
    if (name === undefined) continue
    const cells = line.split('|').slice(1, -1)
    rows.set(
      name,
      cells.map((cell) => cell.trim()),
    )
  }
  return rows
}

function* rowProblems(root: string, versions: Readonly<Record<string, string>>): Generator<string> {
  const rows = documentedRows(root)
  for (const [name, version] of Object.entries(versions)) {
    if (!EXACT.test(version)) yield `package.json: ${name} is "${version}"; pin one exact version`
    const cells = rows.get(name)
    if (cells === undefined) {
      yield `docs/dependencies.md: no row for ${name}`
      continue
    }
    const empty = COLUMNS.filter((_column, index) => (cells[index] ?? '') === '')
    if (empty.length > 0) yield `docs/dependencies.md: ${name} lacks ${empty.join(', ')}`
    const license = licenseOf(root, `node_modules/${name}`, {})
    if (cells[1] !== license)
      yield `docs/dependencies.md: ${name} is under ${license}, the row says ${cells[1]}`
  }
  for (const name of rows.keys()) {
    if (versions[name] === undefined) yield `docs/dependencies.md: ${name} is not in package.json`
  }
}

export function checkDependencies(root: string): CheckResult {
  const manifest = readJson<Manifest>(join(root, 'package.json'))
  const versions = { ...manifest.dependencies, ...manifest.devDependencies }
  const problems = [...rowProblems(root, versions), ...treeProblems(root, manifest, versions)]
  return { problems, summary: `dependencies: ${Object.keys(versions).length}, each pinned and documented` }
}

if (import.meta.main) report(checkDependencies(process.cwd()))
