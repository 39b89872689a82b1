import { describe, expect, it } from 'vitest'
import { checkClauses, titleIds } from '../../../scripts/check-clauses.ts'
import { fixture } from './fixture.ts'

const SPEC = '# Envelope\n\n**ENV-1** The first byte is 1.\n\n- **ENV-2** The IV has 12 bytes.\n'

function problems(test: string, spec = SPEC): readonly string[] {
  return checkClauses(fixture({ 'docs/spec/envelope.md': spec, 'test/unit/a.test.ts': test })).problems
}

describe('clauses and their proofs', () => {
  it('passes when every clause opens a title, alone, in a list, in a table or in a wrapper', () => {
    expect(problems("it('ENV-1 a', f)\nit('ENV-2 b', f)")).toEqual([])
    expect(problems("test('ENV-1, ENV-2 a', f)")).toEqual([])
    expect(problems('it.each(rows)(`ENV-1 and ENV-2 ${x}`, f)')).toEqual([])
    expect(problems("it.skipIf(none)('ENV-1 a', f)\nitWithToken('ENV-2 b', f)")).toEqual([])
  })

  it('names a clause without a proof', () => {
    expect(problems("it('ENV-1 a', f)")).toEqual([
      'docs/spec/envelope.md:5: no test has a title that opens with ENV-2',
    ])
  })

  it('takes no proof from a test that never runs, a comment, or the middle of a title', () => {
    const idle = "it.skip('ENV-2 b', f)\nit.todo('ENV-2 b')\n// it('ENV-2 b', f)\nit('see ENV-2', f)"
    expect(problems(`it('ENV-1 a', f)\n${idle}`)).toHaveLength(1)
  })

  it('names a title with a clause that docs/spec lacks', () => {
    expect(problems("it('ENV-1, ENV-2 a', f)\nit('ENV-3 b', f)")).toEqual([
      'test/unit/a.test.ts:2: docs/spec has no clause ENV-3',
    ])
  })

  it('names a number that was given twice', () => {
    expect(problems("it('ENV-1 a', f)", '**ENV-1** One.\n**ENV-1** Two.\n')).toEqual([
      'docs/spec/envelope.md:2: ENV-1 is already the number of docs/spec/envelope.md:1',
    ])
  })

  it('reads no clause from algorithm names', () => {
    expect(titleIds('AES-256 keys are 32 bytes')).toEqual([])
    expect(titleIds('ENV-1: SHA-256 is used')).toEqual(['ENV-1'])
  })
})
