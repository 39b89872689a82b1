import {
  type Finding,
  type InventorySummary,
  OBJECT_ATTRIBUTES,
  type ObjectAttribute,
  type ObjectReport,
  type Remark,
  type Severity,
} from '../../../../core/inspection/object-report.ts'
import type { SlotReport } from '../../../../core/inspection/token-report.ts'
import { quirksOf } from '../../vendor-quirks.ts'
import { ATTRIBUTE_NAMES } from '../attribute-names.ts'
import type { TokenWalk } from '../jobs.ts'
import { identify, oursOf } from './identify.ts'
import type { KnownKeys } from './known-versions.ts'
import { lintObject } from './object-rules.ts'
import { lintDuplicates, lintVersions } from './whole-rules.ts'

const ORDER: readonly Severity[] = ['error', 'warning', 'info']

/** Each object with what it is to us, and everything that is wrong, worst first. */
export interface Linted {
  readonly objects: readonly ObjectReport[]
  readonly findings: readonly Finding[]
  readonly summary: InventorySummary
}

/**
 * Holds what a token says of its objects against what p11kms asks of them and against the store.
 *
 * @param known - What the store knows; absent where it was not read.
 * @param waived - Attributes that this token gets wrong by nature.
 * @param more - What else was found, to be told with the rest.
 */
export function lintToken(
  { objects, cut }: Pick<TokenWalk, 'objects' | 'cut'>,
  known: KnownKeys | undefined,
  waived: ReadonlySet<ObjectAttribute>,
  more: readonly Finding[],
): Linted {
  const identities = objects.map((object) => identify(object, known))
  const reports = objects.map((object, index): ObjectReport => {
    const ours = oursOf(identities[index] ?? {})
    return ours ? { ...object, ours } : object
  })
  const single = objects.flatMap((object, index) =>
    lintObject(object, identities[index] ?? {}, known, waived).map((told) =>
      withSubject(told, index, reports[index]),
    ),
  )
  const duplicates = lintDuplicates(reports.map((object) => ({ object, ours: object.ours !== undefined })))
  // What was not looked at may well be there.
  const versions = known && !cut ? lintVersions(objects, known) : []
  const findings = [
    ...more,
    ...(cut ? [notAll(objects.length)] : []),
    ...single,
    ...duplicates,
    ...versions,
  ].toSorted((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
  return { objects: reports, findings, summary: summarize(reports, findings, known) }
}

/** Attributes that the token in a slot gets wrong by nature. */
export function waivedBy({ token }: SlotReport): ReadonlySet<ObjectAttribute> {
  const names = token ? quirksOf(token).waives : []
  return new Set(OBJECT_ATTRIBUTES.filter((attribute) => names.includes(ATTRIBUTE_NAMES[attribute])))
}

function withSubject(told: Remark, object: number, report: ObjectReport | undefined): Finding {
  return { ...told, object, ...(report?.ours && { keyId: report.ours.keyId }) }
}

function notAll(looked: number): Finding {
  return {
    severity: 'warning',
    code: 'NOT_ALL_OBJECTS',
    message: `The token holds more objects than the ${looked} that were looked at; missing ones cannot be told.`,
    next: 'Give p11kms a token or a partition of its own.',
  }
}

function summarize(
  objects: readonly ObjectReport[],
  findings: readonly Finding[],
  known: KnownKeys | undefined,
): InventorySummary {
  const count = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length
  return {
    objects: objects.length,
    ours: objects.filter(({ ours }) => ours).length,
    ...(known && { versionsInStore: known.versions.filter(({ state }) => state !== 'Deleted').length }),
    errors: count('error'),
    warnings: count('warning'),
    infos: count('info'),
  }
}
