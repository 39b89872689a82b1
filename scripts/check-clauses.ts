/**
 * Pairs the numbered clauses of docs/spec with the tests that prove them.
 *
 * A clause is a line of docs/spec that opens with its id in bold (`**ENV-1** ...`, also as a list item). A proof is a
 * call of `it` or `test`, or of a function named after them, whose title opens with one or more ids: `it('ENV-1 ...')`,
 * `it.each(rows)('ENV-1, ENV-2 ...')`. Titles that never run (`skip`, `todo`) prove nothing.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { filesUnder } from './files.ts'
import { type CheckResult, report } from './report.ts'

interface Mention {
  readonly id: string
  readonly at: string
}

const CLAUSE = /^\s*(?:[-*] )?\*\*([A-Z]{2,}-\d+[a-z]?)\*\*/
const TITLE_ID = /^([A-Z]{2,}-\d+[a-z]?)(?:,? and |, ?| |: |$)/
/** Words of the trade that look like clause ids at the start of a title. */
const NOT_CLAUSES = new Set(['AES', 'BASE', 'ECC', 'HMAC', 'ISO', 'RFC', 'RSA', 'SHA', 'UTF'])

function clauses(root: string): Mention[] {
  if (!existsSync(join(root, 'docs/spec'))) return []
  return filesUnder(root, 'docs/spec', '.md').flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => {
        const id = CLAUSE.exec(line)?.[1]
        return id === undefined ? [] : [{ id, at: `${file}:${index + 1}` }]
      }),
  )
}

/** The ids a title opens with: `ENV-1, ENV-2 a blob ...` has two. */
export function titleIds(title: string): string[] {
  const ids: string[] = []
  let rest = title
  for (let match = TITLE_ID.exec(rest); match; match = TITLE_ID.exec(rest)) {
    const id = match[1] ?? ''
    if (NOT_CLAUSES.has(id.replace(/-.*/, ''))) break
    ids.push(id)
    rest = rest.slice(match[0].length)
  }
  return ids
}

/** Whether `callee` is `it`, `it.each(rows)`, `testWithToken.runIf(x)` and so on, and not one that skips. */
function runsTest(callee: ts.Expression): boolean {
  if (ts.isIdentifier(callee)) return /^(?:it|test)(?:[A-Z]|$)/.test(callee.text)
  if (ts.isCallExpression(callee)) return runsTest(callee.expression)
  if (ts.isTaggedTemplateExpression(callee)) return runsTest(callee.tag)
  if (!ts.isPropertyAccessExpression(callee)) return false
  return !['skip', 'todo'].includes(callee.name.text) && runsTest(callee.expression)
}

function titleText(argument: ts.Expression | undefined): string {
  if (argument === undefined) return ''
  if (ts.isStringLiteralLike(argument)) return argument.text
  return ts.isTemplateExpression(argument) ? argument.head.text : ''
}

function proofs(root: string): Mention[] {
  return filesUnder(root, 'test', '.ts').flatMap((file) => {
    const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest)
    const found: Mention[] = []
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && runsTest(node.expression)) {
        const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1
        for (const id of titleIds(titleText(node.arguments[0]))) found.push({ id, at: `${file}:${line}` })
      }
      ts.forEachChild(node, visit)
    }
    visit(source)
    return found
  })
}

export function checkClauses(root: string): CheckResult {
  const stated = clauses(root)
  const proved = proofs(root)
  const statedIds = new Set(stated.map(({ id }) => id))
  const provedIds = new Set(proved.map(({ id }) => id))
  const first = new Map(stated.toReversed().map((clause) => [clause.id, clause.at]))
  const problems = [
    ...stated
      .filter(({ id, at }) => first.get(id) !== at)
      .map(({ id, at }) => `${at}: ${id} is already the number of ${first.get(id)}`),
    ...stated
      .filter(({ id }) => !provedIds.has(id))
      .map(({ id, at }) => `${at}: no test has a title that opens with ${id}`),
    ...proved
      .filter(({ id }) => !statedIds.has(id))
      .map(({ id, at }) => `${at}: docs/spec has no clause ${id}`),
  ]
  return { problems, summary: `clauses: ${statedIds.size}, each proved by a test` }
}

if (import.meta.main) report(checkClauses(process.cwd()))
