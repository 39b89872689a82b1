import type { TokenObject } from '../../../../core/inspection/object-report.ts'

/** For people: its label, or what else it can be told by. */
export function nameOf({ label, id, class: kind, keyType }: TokenObject): string {
  const what = [keyType, kind].filter(Boolean).join(' ')
  return label ?? (id === undefined ? `An object (${what})` : `The object with CKA_ID ${id} (${what})`)
}
