import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { CKR_NAMES, CKR_RULES, type CkrRule } from '../../../src/providers/pkcs11/ckr.ts'

const PAGE = readFileSync(new URL('../../../docs/operating/recovery.md', import.meta.url), 'utf8')

/** Cells of each row of the page's table of return values. */
const ROWS = PAGE.split('\n')
  .filter((line) => line.startsWith('| `CKR_'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )

const BECOMES = {
  keep: 'kept',
  discard: 'closed',
  suspect: 'closed; connection checked',
  reconnect: 'closed; reconnect',
  reinitialize: 'closed; library initialized anew',
  operator: 'closed; a login that ends so waits for the operator',
} as const
const RETRIED = { session: 'on a new session', handle: 'with the key looked up again' } as const

/** The row that the page owes a rule. */
function rowOf(name: string, number: number, rule: CkrRule): string[] {
  const again = rule.retry ? `once, ${RETRIED[rule.retry]}` : 'no'
  const notes = [rule.ambiguous && 'opening: canary decides', rule.misuse && 'counted as misuse'].filter(
    Boolean,
  )
  const becomes = [BECOMES[rule.session], ...notes].join('; ')
  return [`\`${name}\``, `0x${number.toString(16)}`, `\`${rule.code}\``, becomes, again, rule.hint]
}

it('shows operators the rule of every return value, and none besides', () => {
  const owed = Object.entries(CKR_NAMES).map(([number, name]) => {
    const rule = CKR_RULES[name]
    if (!rule) throw new Error(`${name} has no rule.`)
    return rowOf(name, Number(number), rule)
  })
  expect(ROWS).toEqual(owed)
})
