import { describe, expect, it } from 'vitest'
import { countTests, totalsLine } from '../../../scripts/run-tests.ts'

function report(counts: { passed: number; failed?: number; skipped?: number; brokenFiles?: number }): string {
  const { passed, failed = 0, skipped = 0, brokenFiles = 0 } = counts
  const broken = Array.from({ length: brokenFiles }, () => ({
    name: 'broken.test.ts',
    status: 'failed',
    assertionResults: [],
  }))
  const failing = { name: 'failing.test.ts', status: 'failed', assertionResults: [{ status: 'failed' }] }
  return JSON.stringify({
    numPassedTests: passed,
    numFailedTests: failed,
    numTotalTests: passed + failed + skipped,
    testResults: [...broken, ...(failed > 0 ? [failing] : [])],
  })
}

describe('totals of a run', () => {
  it('are those of the report', () => {
    const totals = countTests(report({ passed: 5, failed: 2, skipped: 1 }), 1, false)
    expect(totals).toEqual({ passed: 5, failed: 2, skipped: 1 })
    expect(totalsLine(totals)).toBe('5 passed, 2 failed, 1 skipped')
    expect(totalsLine({ passed: 5, failed: 0, skipped: 0 })).toBe('5 passed, 0 failed')
  })

  it('count a run without a report as one failure', () => {
    expect(countTests(undefined, 0, false).failed).toBe(1)
  })

  it('count each file that could not be loaded', () => {
    expect(countTests(report({ passed: 5, failed: 1, brokenFiles: 2 }), 1, false).failed).toBe(3)
  })

  it('count an error outside every test, which shows in the exit code alone', () => {
    expect(countTests(report({ passed: 5 }), 1, false)).toEqual({ passed: 5, failed: 1, skipped: 0 })
    expect(countTests(report({ passed: 5 }), null, false).failed).toBe(1)
  })

  it('count a run in which nothing ran as a failure', () => {
    expect(countTests(report({ passed: 0, skipped: 9 }), 0, false).failed).toBe(1)
  })

  it('count skipped tests as failed where everything is required', () => {
    expect(countTests(report({ passed: 5, skipped: 2 }), 0, true)).toEqual({
      passed: 5,
      failed: 2,
      skipped: 0,
    })
  })
})
