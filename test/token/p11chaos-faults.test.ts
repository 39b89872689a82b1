import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { chaosBench, ckr, drawElsewhere, gcm, TEXT, times } from '../support/chaos-session.ts'
import { describeWith, SOFTHSM_MODULE, USER_PIN } from '../support/softhsm.ts'

const CKM_AES_CBC_PAD = 0x1085
const CKM_SHA256 = 0x250

describeWith([SOFTHSM_MODULE], 'p11chaos, for single calls', () => {
  const bench = chaosBench()

  it('answers a return value so many times, by name or by number, after so many calls', () => {
    bench.chaos.set('fail C_GenerateRandom CKR_DEVICE_ERROR times=2 after=1')
    expect(times(4, bench.random)).toEqual(['CKR_OK', 'CKR_DEVICE_ERROR', 'CKR_DEVICE_ERROR', 'CKR_OK'])
    bench.chaos.set('fail C_Gen*,!C_GenerateKey 0x31')
    expect(times(2, bench.random)).toEqual(['CKR_DEVICE_MEMORY', 'CKR_DEVICE_MEMORY'])
    expect(ckr(bench.makeKey)).toBe('CKR_OK')
    bench.chaos.set('fail C_GenerateRandom 0x80000011')
    expect(times(1, bench.random)).toEqual(['CKR_VENDOR_DEFINED'])
    bench.chaos.clear()
    expect(times(1, bench.random)).toEqual(['CKR_OK'])
  })

  it('fails at random, the same way for the same seed', () => {
    const draw = () => {
      bench.chaos.set(['seed 7', 'fail C_GenerateRandom CKR_DEVICE_ERROR,CKR_HOST_MEMORY probability=0.25'])
      return times(400, bench.random)
    }
    const first = draw()
    expect(draw()).toEqual(first)
    const failed = first.filter((name) => name !== 'CKR_OK')
    expect(failed.length).toBeGreaterThan(60)
    expect(failed.length).toBeLessThan(140)
    expect(new Set(failed)).toEqual(new Set(['CKR_DEVICE_ERROR', 'CKR_HOST_MEMORY']))
  })

  it('fails after the call, whose effect stays', () => {
    const objects = () => {
      bench.p11.C_FindObjectsInit(bench.session, [])
      const count = bench.p11.C_FindObjects(bench.session, 100).length
      bench.p11.C_FindObjectsFinal(bench.session)
      return count
    }
    const before = objects()
    bench.chaos.set('fail C_GenerateKey CKR_DEVICE_ERROR after-call times=1')
    expect(ckr(bench.makeKey)).toBe('CKR_DEVICE_ERROR')
    expect(objects()).toBe(before + 1)
    bench.chaos.set('fail C_GenerateKey CKR_DEVICE_ERROR times=1')
    expect(ckr(bench.makeKey)).toBe('CKR_DEVICE_ERROR')
    expect(objects()).toBe(before + 1)
  })

  it('fails calls of one mechanism only, also those that go on with it', () => {
    bench.chaos.set('fail C_Encrypt,C_DigestInit CKR_DEVICE_ERROR mechanism=CKM_AES_GCM')
    expect(ckr(() => bench.p11.C_DigestInit(bench.session, { mechanism: CKM_SHA256 }))).toBe('CKR_OK')
    bench.p11.C_Digest(bench.session, TEXT, Buffer.alloc(32))
    const cbc = { mechanism: CKM_AES_CBC_PAD, parameter: Buffer.alloc(16) }
    bench.p11.C_EncryptInit(bench.session, cbc, bench.key)
    expect(ckr(() => bench.p11.C_Encrypt(bench.session, TEXT, Buffer.alloc(64)))).toBe('CKR_OK')
    expect(ckr(() => bench.encrypt(Buffer.alloc(12)))).toBe('CKR_DEVICE_ERROR')
  })

  it('meets the calls of one token only', () => {
    const other = bench.login(bench.slotOf('second'))
    bench.chaos.set('fail C_GenerateRandom CKR_DEVICE_ERROR token=second')
    expect(times(1, bench.random)).toEqual(['CKR_OK'])
    expect(ckr(() => bench.p11.C_GenerateRandom(other, Buffer.alloc(8)))).toBe('CKR_DEVICE_ERROR')
  })

  it('goes on with the counters of a rule that stays, and begins anew with a new generation', () => {
    const conf = bench.chaos.env['P11CHAOS_CONF'] ?? ''
    const rule = 'fail C_GenerateRandom CKR_DEVICE_ERROR times=1'
    bench.chaos.set(rule)
    expect(times(2, bench.random)).toEqual(['CKR_DEVICE_ERROR', 'CKR_OK'])
    writeFileSync(conf, `${readFileSync(conf, 'utf8')}latency C_SeedRandom 1us\n`)
    expect(times(2, bench.random)).toEqual(['CKR_OK', 'CKR_OK'])
    bench.chaos.set(rule)
    expect(times(2, bench.random)).toEqual(['CKR_DEVICE_ERROR', 'CKR_OK'])
  })

  it('slows calls down', () => {
    const elapsedMs = (call: () => unknown) => {
      const before = performance.now()
      call()
      return performance.now() - before
    }
    bench.chaos.set(['latency C_GenerateRandom 60ms times=1', 'latency * 20ms'])
    expect(elapsedMs(bench.random)).toBeGreaterThanOrEqual(79)
    expect(elapsedMs(bench.random)).toBeGreaterThanOrEqual(19)
    bench.chaos.clear()
    const quickest = Math.min(...Array.from({ length: 20 }, () => elapsedMs(bench.random)))
    expect(quickest).toBeLessThan(15)
  })

  it('hangs a call until the rule is gone, while other threads work on', async () => {
    bench.chaos.set('hang C_Encrypt')
    const output = Buffer.alloc(96)
    bench.p11.C_EncryptInit(bench.session, gcm(Buffer.alloc(12)), bench.key)
    let ended = false
    const hanging = bench.p11.C_EncryptAsync(bench.session, TEXT, output).finally(() => {
      ended = true
    })
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      bench.p11.C_GetSessionInfo(bench.session)
    }
    expect(ended).toBe(false)
    bench.chaos.clear()
    expect((await hanging).length).toBe(TEXT.length + 16)
    bench.chaos.set('hang C_GenerateRandom for=50ms')
    const before = performance.now()
    expect(ckr(bench.random)).toBe('CKR_OK')
    expect(performance.now() - before).toBeGreaterThanOrEqual(49)
  })

  it('crashes a process, once for all processes where a file says so', () => {
    const once = join(bench.softHsm.directory, 'crashed')
    bench.chaos.set(`crash C_GenerateRandom once=${once}`)
    expect(drawElsewhere(bench.chaos).signal).toBe('SIGSEGV')
    expect(existsSync(once)).toBe(true)
    expect(bench.chaos.trace().at(-1)).toMatchObject({ function: 'C_GenerateRandom', forwarded: false })
    expect(drawElsewhere(bench.chaos)).toMatchObject({ signal: null, stdout: 'drawn\n' })
    bench.chaos.set('crash C_GenerateRandom signal=ABRT after-call')
    expect(drawElsewhere(bench.chaos).signal).toBe('SIGABRT')
    expect(bench.chaos.trace().at(-1)).toMatchObject({ function: 'C_GenerateRandom', forwarded: true })
  })

  it('refuses a configuration that it cannot parse, naming the line', () => {
    expect(() => bench.chaos.set(['latency * 5ms', 'fial C_Encrypt CKR_DEVICE_ERROR'])).toThrow(
      /p11chaos\.conf\.new:5: unknown directive "fial"/,
    )
    for (const [line, problem] of [
      ['fail C_Encryptt CKR_DEVICE_ERROR', '"C_Encryptt" is no function of Cryptoki v2.40'],
      ['fail C_Encrypt CKR_DEVICE_EROR', '"CKR_DEVICE_EROR" is no return value'],
      ['fail C_Encrypt CKR_DEVICE_ERROR times=-1', 'fail does not take "times=-1"'],
      ['fail C_Encrypt CKR_DEVICE_ERROR probability=1.5', 'fail does not take "probability=1.5"'],
      ['latency C_Encrypt 5', '"5" is not a duration'],
      ['hide-mechanism CKM_NONE', '"CKM_NONE" is no mechanism'],
      ['hide-attribute CKA_ID,CKA_NONE', '"CKA_NONE" is no attribute'],
      ['token-absent times=1', 'token-absent does not take "times=1"'],
      ['trace relative', '"relative" is not an absolute path'],
      ['fail', 'fail wants 2 argument(s)'],
      [`fail C_Encrypt CKR_OK token="unended`, 'a quote that does not end'],
    ] as const) {
      expect(() => bench.chaos.set(line), line).toThrow(problem)
    }
    expect(ckr(bench.random)).toBe('CKR_OK')
    const bad = join(bench.softHsm.directory, 'bad.conf')
    writeFileSync(bad, `# comment\nlatency * 5ms\nhang C_Nothing\n`)
    const { stderr, stdout, status } = drawElsewhere(bench.chaos, USER_PIN, { P11CHAOS_CONF: bad })
    expect(stderr).toContain(`p11chaos: ${bad}:3: "C_Nothing" is no function of Cryptoki v2.40`)
    expect(stderr).toContain('CKR_GENERAL_ERROR')
    expect(stdout).not.toContain('drawn')
    expect(status).not.toBe(0)
    expect(drawElsewhere(bench.chaos, USER_PIN, { P11CHAOS_CONF: `${bad}.missing` }).stderr).toContain(
      'No such file',
    )
    expect(drawElsewhere(bench.chaos, USER_PIN, { P11CHAOS_MODULE: bench.chaos.module }).stderr).toContain(
      'or is this one',
    )
  })

  it('answers CKR_GENERAL_ERROR while a file that changed cannot be parsed', () => {
    const conf = bench.chaos.env['P11CHAOS_CONF'] ?? ''
    writeFileSync(conf, 'nonsense\n')
    expect(times(2, bench.random)).toEqual(['CKR_GENERAL_ERROR', 'CKR_GENERAL_ERROR'])
    bench.chaos.clear()
    expect(times(2, bench.random)).toEqual(['CKR_OK', 'CKR_OK'])
  })
})
