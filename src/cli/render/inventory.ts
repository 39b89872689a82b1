import { styleText } from 'node:util'
import type {
  Finding,
  InventoryReport,
  InventorySummary,
  ObjectReport,
  Severity,
} from '../../core/inspection/object-report.ts'
import { indented, printable, tableOf } from './table.ts'

/** Findings of one kind that are told one by one; `--json` has them all. */
const SAME_FINDINGS_MAX = 10

const COLOURS = { error: 'red', warning: 'yellow', info: 'dim' } as const satisfies Record<Severity, string>

/** What `p11kms token objects` prints for people. */
export function renderInventory(name: string, report: InventoryReport): string {
  const { library, slot, objects, findings, summary } = report
  const token = slot.token
  const head = token ? `${printable(token.label)}, serial ${printable(token.serial)}` : `slot ${slot.slotId}`
  return [
    `Token ${name} (${head}) of ${library.path}`,
    '',
    ...(objects.length > 0 ? renderObjects(objects) : ['no objects']),
    '',
    ...renderFindings(findings),
    ...(findings.length > 0 ? [''] : []),
    summaryLine(summary),
  ].join('\n')
}

function renderObjects(objects: readonly ObjectReport[]): string[] {
  const rows = objects.map((object) => [
    printable(object.label ?? '-'),
    [object.keyType, object.bits].filter(Boolean).join('-') || '-',
    object.class?.toLowerCase().replaceAll('_', ' ') ?? 'unreadable',
    object.id ?? '-',
    object.ours ? (object.ours.state ?? 'ours') : 'not ours',
    attributesOf(object),
  ])
  return tableOf([['LABEL', 'KEY', 'CLASS', 'CKA_ID', 'STATE', 'ATTRIBUTES'], ...rows])
}

function attributesOf({ attributes }: ObjectReport): string {
  return Object.entries(attributes)
    .filter(([, value]) => value)
    .map(([attribute]) => attribute)
    .join(' ')
}

function renderFindings(findings: readonly Finding[]): string[] {
  const told = new Map<string, number>()
  const lines = findings.flatMap(({ severity, code, message, next }) => {
    const kind = `${severity} ${code}`
    const count = (told.get(kind) ?? 0) + 1
    told.set(kind, count)
    if (count > SAME_FINDINGS_MAX) return []
    return [
      `${painted(severity)}  ${code}`,
      ...indented([printable(message), `Next: ${printable(next)}`], '         '),
    ]
  })
  const more = [...told]
    .filter(([, count]) => count > SAME_FINDINGS_MAX)
    .map(([kind, count]) => `${count - SAME_FINDINGS_MAX} more of ${kind}; --json lists them all`)
  return [...lines, ...more]
}

/** Padded by hand, because colours have no width. */
function painted(severity: Severity): string {
  return styleText(COLOURS[severity], severity) + ' '.repeat('warning'.length - severity.length)
}

function summaryLine({ objects, ours, versionsInStore, errors, warnings, infos }: InventorySummary): string {
  const store = versionsInStore === undefined ? '' : `, ${versionsInStore} key versions in the store`
  return `${objects} objects, ${ours} of p11kms${store}: ${errors} errors, ${warnings} warnings, ${infos} notes`
}
