import { styleText } from 'node:util'
import type { Check, CheckGroup, CheckState, DoctorReport } from '../../core/inspection/doctor-report.ts'
import { indented, printable } from './table.ts'

const STATES = {
  ok: { word: 'ok  ', colour: 'green' },
  warn: { word: 'warn', colour: 'yellow' },
  fail: { word: 'FAIL', colour: 'red' },
} as const satisfies Record<CheckState, { word: string; colour: string }>

/** What `p11kms doctor` prints for people: a line per check, and what to do below the ones that need it. */
export function renderDoctor({ config, groups, summary }: DoctorReport): string {
  const { ok, warn, fail } = summary
  return [
    `p11kms doctor, with ${printable(config)}`,
    ...groups.flatMap(renderGroup),
    '',
    `${ok} ok, ${warn} to look at, ${fail} failed`,
  ].join('\n')
}

function renderGroup({ group, token, checks }: CheckGroup): string[] {
  return ['', token === undefined ? group : `${group} ${token}`, ...indented(checks.flatMap(renderCheck))]
}

function renderCheck({ state, message, next, ms }: Check): string[] {
  const { word, colour } = STATES[state]
  const time = ms === undefined ? '' : ` (${ms} ms)`
  const line = `${styleText(colour, word)}  ${printable(message)}${time}`
  return next === undefined ? [line] : [line, `      Next: ${printable(next)}`]
}
