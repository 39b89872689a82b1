import { afterEach, describe, expect, it, vi } from 'vitest'
import { mergeExpositions } from '../../../src/exposition.ts'
import { WholeLines } from '../../../src/supervisor/lines.ts'
import { LoginDesk } from '../../../src/supervisor/login-desk.ts'
import type { ToWorker } from '../../../src/supervisor/messages.ts'
import { Questions } from '../../../src/supervisor/questions.ts'
import { RestartPolicy } from '../../../src/supervisor/restart-policy.ts'

describe('RestartPolicy', () => {
  it('starts anew at once five times, then later and later, and never later than half a minute', () => {
    const policy = new RestartPolicy()
    const delays = Array.from({ length: 14 }, () => policy.ended(2_000))
    expect(delays).toStrictEqual([
      0, 0, 0, 0, 0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ])
    expect(policy.loops).toBe(true)
  })

  it('forgets what was before a worker served for a minute', () => {
    const policy = new RestartPolicy()
    for (let i = 0; i < 9; i++) policy.ended(0)
    expect(policy.ended(60_000)).toBe(0)
    expect([policy.loops, policy.endsInARow]).toStrictEqual([false, 1])
  })
})

describe('WholeLines', () => {
  it('passes on lines that came in pieces, characters that were cut apart included', () => {
    const told: string[] = []
    const lines = new WholeLines((text) => told.push(text))
    const bytes = Buffer.from('first\nsecond: ü\nthird, without an end')
    for (const byte of bytes) lines.add(Buffer.from([byte]))
    expect(told).toStrictEqual(['first\n', 'second: ü\n'])
  })

  it('holds no more of a line without an end than a mebibyte', () => {
    const told: string[] = []
    const lines = new WholeLines((text) => told.push(text))
    for (let i = 0; i < 100; i++) lines.add(Buffer.alloc(65_536, 'x'))
    lines.add(Buffer.from('\nnext\n'))
    expect(told.join('').length).toBeLessThanOrEqual(1_048_576 + 6)
    expect(told.join('')).toMatch(/\nnext\n$/)
  })
})

describe('LoginDesk', () => {
  function desk() {
    const told: string[] = []
    const made = new LoginDesk()
    const ask = (who: { readonly name: string }, pin = 'one') =>
      made.ask(who, pin, (yes) => told.push(`${who.name}: ${yes ? 'yes' : 'no'}`))
    return { made, told, ask, a: { name: 'a' }, b: { name: 'b' }, c: { name: 'c' } }
  }

  it('gives the turn to one at a time, also when who had it is gone', () => {
    const { made, told, ask, a, b, c } = desk()
    for (const who of [a, b, c]) ask(who)
    expect(told).toStrictEqual(['a: yes'])
    made.ended(a, 'up')
    expect(told).toStrictEqual(['a: yes', 'b: yes'])
    made.ended(c, 'again')
    made.ended(b, 'again')
    expect(told).toStrictEqual(['a: yes', 'b: yes'])
    ask(a)
    expect(told.at(-1)).toBe('a: yes')
  })

  it('gives no turn with a PIN that was refused, one with another PIN, and none after two', () => {
    const { made, told, ask, a, b, c } = desk()
    ask(a)
    ask(b)
    made.ended(a, 'operator')
    ask(c)
    ask(c, 'two')
    made.ended(c, 'operator')
    ask(a, 'three')
    expect(told).toStrictEqual(['a: yes', 'b: no', 'c: no', 'c: yes', 'a: no'])
  })

  it('forgets what was refused once a PIN was right', () => {
    const { made, told, ask, a, b } = desk()
    ask(a)
    made.ended(a, 'operator')
    ask(a, 'two')
    made.ended(a, 'up')
    ask(b, 'one')
    expect(told).toStrictEqual(['a: yes', 'a: yes', 'b: yes'])
  })

  it('takes no refusal of one that was not let give a PIN for one of the PIN', () => {
    const { made, told, ask, a, b, c } = desk()
    ask(a)
    ask(b)
    made.ended(b, 'operator')
    made.ended(a, 'up')
    ask(c)
    expect(told).toStrictEqual(['a: yes', 'c: yes'])
  })

  describe('with a login that takes too long', () => {
    afterEach(() => vi.useRealTimers())

    function overdueDesk() {
      vi.useFakeTimers()
      const made = desk()
      made.ask(made.a)
      return made
    }

    it('keeps those with the same PIN waiting until it ends, and then takes its refusal', () => {
      const { made, told, ask, a, b, c } = overdueDesk()
      ask(b)
      vi.advanceTimersByTime(60_000)
      ask(c)
      expect(told).toStrictEqual(['a: yes'])
      made.ended(a, 'operator')
      expect(told).toStrictEqual(['a: yes', 'b: no', 'c: no'])
    })

    it.each(['up', 'again'] as const)('lets the next give the PIN once it ended with "%s"', (how) => {
      const { made, told, ask, a, b } = overdueDesk()
      ask(b)
      vi.advanceTimersByTime(60_000)
      made.ended(a, how)
      expect(told).toStrictEqual(['a: yes', 'b: yes'])
    })

    it('lets another PIN be given meanwhile, and no third one that would be too many', () => {
      const { made, told, ask, a, b, c } = overdueDesk()
      ask(b, 'two')
      vi.advanceTimersByTime(60_000)
      ask(c, 'three')
      expect(told).toStrictEqual(['a: yes', 'b: yes'])
      made.ended(a, 'operator')
      made.ended(b, 'operator')
      expect(told).toStrictEqual(['a: yes', 'b: yes', 'c: no'])
    })
  })

  it('lets who asks again have the turn that it has', () => {
    const { told, ask, a } = desk()
    ask(a)
    ask(a)
    expect(told).toStrictEqual(['a: yes', 'a: yes'])
  })
})

describe('Questions', () => {
  const worker = () => {
    const told: ToWorker[] = []
    return { told, send: (message: ToWorker) => void told.push(message) }
  }
  type Worker = ReturnType<typeof worker>

  it('brings the answers of all others, and does not wait for one that is gone', () => {
    const questions = new Questions<Worker>()
    const [asker, b, c] = [worker(), worker(), worker()]
    questions.ask(asker, [b, c], 7, 'how?')
    expect(b.told).toStrictEqual([{ kind: 'ask', id: 1, question: 'how?' }])
    questions.reply(b, 1, 'so')
    questions.reply(b, 1, 'twice')
    expect(asker.told).toStrictEqual([])
    questions.gone(c)
    expect(asker.told).toStrictEqual([{ kind: 'answers', id: 7, answers: ['so'] }])
    questions.reply(c, 1, 'late')
    expect(asker.told).toHaveLength(1)
  })

  it('answers one that has no others, and is content with what came in time', async () => {
    const questions = new Questions<Worker>()
    const [asker, silent] = [worker(), worker()]
    questions.ask(asker, [], 1, 'anybody?')
    expect(asker.told).toStrictEqual([{ kind: 'answers', id: 1, answers: [] }])
    questions.ask(asker, [silent], 2, 'anybody?', 10)
    await expect.poll(() => asker.told.at(-1)).toStrictEqual({ kind: 'answers', id: 2, answers: [] })
  })
})

describe('mergeExpositions', () => {
  it('has each metric once, with the samples of all', () => {
    const of = (worker: number) =>
      `# HELP a_total Counts.\n# TYPE a_total counter\na_total{worker="${worker}"} ${worker}\n\n` +
      `# HELP b Seconds.\n# TYPE b histogram\nb_bucket{le="1",worker="${worker}"} 1\nb_count{worker="${worker}"} 1\n`
    const only = '# HELP c Of one.\n# TYPE c gauge\nc 3\n'
    expect(mergeExpositions([of(1), of(2), only])).toBe(
      '# HELP a_total Counts.\n# TYPE a_total counter\na_total{worker="1"} 1\na_total{worker="2"} 2\n\n' +
        '# HELP b Seconds.\n# TYPE b histogram\nb_bucket{le="1",worker="1"} 1\nb_count{worker="1"} 1\n' +
        'b_bucket{le="1",worker="2"} 1\nb_count{worker="2"} 1\n\n' +
        only,
    )
  })
})
