import type {
  LibraryReport,
  MechanismReport,
  ModuleReport,
  ProblemReport,
  SessionCounts,
  SlotReport,
  TokenDetails,
  TokenReport,
} from '../../core/inspection/token-report.ts'
import { indented, printable, tableOf } from './table.ts'

/** What `p11kms token list` prints for people. */
export function renderModules(modules: readonly ModuleReport[]): string {
  return modules
    .flatMap((module) => [...renderModule(module), ''])
    .join('\n')
    .trimEnd()
}

function renderModule({ module, library, slots, problem }: ModuleReport): string[] {
  return [
    library ? describeLibrary(library) : printable(module),
    ...(problem ? indented(renderProblem(problem)) : []),
    ...slots.flatMap((slot) => ['', ...indented(renderSlot(slot))]),
  ]
}

/** What `p11kms token info` prints for people. */
export function renderDetails(name: string, { library, slot, mechanisms }: TokenDetails): string {
  return [
    `Token ${name}`,
    describeLibrary(library),
    '',
    ...renderSlot(slot),
    '',
    `Mechanisms as listed: ${mechanisms.length}`,
    ...indented(renderMechanisms(mechanisms)),
  ].join('\n')
}

function describeLibrary({
  path,
  manufacturer,
  description,
  version,
  cryptokiVersion,
}: LibraryReport): string {
  const name = printable([description, manufacturer].filter(Boolean).join(', '))
  return `${path}: ${name}, version ${version}, Cryptoki ${cryptokiVersion}`
}

function renderProblem({ reason, next }: ProblemReport): string[] {
  return [`FAIL  ${printable(reason)}`, ...(next ? [`      ${next}`] : [])]
}

function renderSlot({ slotId, description, hardware, token, problem }: SlotReport): string[] {
  const kind = hardware ? 'hardware' : 'software'
  const head = `Slot ${slotId} (${[printable(description), kind].filter(Boolean).join(', ')})`
  if (problem) return [head, ...indented(renderProblem(problem))]
  if (!token) return [head, '  no token']
  return [head, ...indented(tableOf(tokenRows(token)))]
}

function tokenRows(token: TokenReport): [string, string][] {
  const { label, serial, manufacturer, model, firmware, hardware, flags, sessions, clock, uri } = token
  return [
    ...(token.configuredAs ? ([['configured as', token.configuredAs]] as [string, string][]) : []),
    ['label', printable(label)],
    ['serial', printable(serial)],
    ['model', printable(`${manufacturer}, ${model}`)],
    ['firmware', `${firmware}, hardware ${hardware}`],
    ['flags', flags.includes('initialized') ? flags.join(', ') : ['not initialized', ...flags].join(', ')],
    ['sessions at most', describeSessions(sessions)],
    ['PIN', `${token.pinBytes.min} to ${token.pinBytes.max} bytes`],
    ...(clock ? ([['clock', clock]] as [string, string][]) : []),
    ...(uri ? ([['uri', uri]] as [string, string][]) : []),
  ]
}

function describeSessions({ max, readWriteMax }: SessionCounts): string {
  return `${max}, read-write ${readWriteMax}`
}

/** Groups in the order in which they are shown; a mechanism is in the first one that takes it. */
const GROUPS: readonly (readonly [title: string, pattern: RegExp])[] = [
  ['used by p11kms', /^$/],
  ['AES', /^CKM_AES/],
  ['RSA', /RSA/],
  ['elliptic curves', /^CKM_(EC|EDDSA|XEDDSA)/],
  ['digests and MACs', /SHA|MD5|HMAC|MD2|RIPEMD|CMAC|DIGEST/],
  ['others', /^/],
]

function renderMechanisms(mechanisms: readonly MechanismReport[]): string[] {
  const shown = new Map(GROUPS.map(([title]) => [title, [] as string[][]]))
  for (const mechanism of mechanisms) {
    const [title] = mechanism.usedFor
      ? ['used by p11kms']
      : (GROUPS.find(([, pattern]) => pattern.test(mechanism.name)) ?? ['others'])
    shown.get(title)?.push(mechanismRow(mechanism))
  }
  const rows = [...shown].filter(([, group]) => group.length > 0)
  return rows.flatMap(([title, group]) => [`${title}:`, ...indented(tableOf(group))])
}

function mechanismRow({ name, keySize, flags, usedFor }: MechanismReport): string[] {
  const size =
    keySize.max === 0 ? '' : keySize.min === keySize.max ? `${keySize.max}` : `${keySize.min}-${keySize.max}`
  return [name, size, flags.join(' '), ...(usedFor ? [usedFor] : [])]
}
