import { describe, expect, it } from 'vitest'
import { renderInventory } from '../../../src/cli/render/inventory.ts'
import { printable, tableOf } from '../../../src/cli/render/table.ts'
import type { Finding, InventoryReport, Severity } from '../../../src/core/inspection/object-report.ts'

describe('tables', () => {
  it('line columns up and end lines without blanks', () => {
    expect(
      tableOf([
        ['a', 'long', 'x'],
        ['longer', 'b', ''],
      ]),
    ).toEqual(['a       long  x', 'longer  b'])
  })

  it('show what does not print as question marks', () => {
    expect(printable('a\u001b[2Jb\u0007c\nd\u202ee\u200bf')).toBe('a?[2Jb?c?d?e?f')
    expect(printable('Größe 10 𐍈')).toBe('Größe 10 𐍈')
  })
})

describe('an inventory', () => {
  const finding = (severity: Severity, message: string): Finding => ({
    severity,
    code: 'UNKNOWN_OBJECT',
    message,
    next: 'Do this.',
  })
  const report = (findings: readonly Finding[]): InventoryReport => ({
    library: {
      path: '/lib/x.so',
      manufacturer: 'M',
      description: 'D',
      version: '1.0',
      cryptokiVersion: '2.40',
    },
    slot: { slotId: 1, description: 'S', hardware: false },
    objects: [{ attributes: {}, label: '\u001b]0;owned\u0007' }],
    findings,
    summary: { objects: 1, ours: 0, errors: 1, warnings: 2, infos: 0 },
  })

  it('tells a finding with its next step, and cuts many of one kind', () => {
    const many = Array.from({ length: 13 }, (_, i) => finding('warning', `w${i}`))
    const text = renderInventory('main', report([finding('error', 'e\u001b[31m'), ...many]))
    expect(text).toContain('error    UNKNOWN_OBJECT\n         e?[31m\n         Next: Do this.')
    expect(text).toContain('w9')
    expect(text).not.toContain('w10')
    expect(text).toContain('3 more of warning UNKNOWN_OBJECT; --json lists them all')
    expect(text).toMatch(/1 objects, 0 of p11kms: 1 errors, 2 warnings, 0 notes$/)
  })

  it('has nothing in it that moves a cursor when it does not go to a terminal', () => {
    const text = renderInventory('main', report([finding('error', 'x')]))
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  })
})
