import { spawnSync } from 'node:child_process'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { AAD, CKU_USER, chaosBench, ckr, TEXT, times } from '../support/chaos-session.ts'
import { describeWith, eventually, SOFTHSM_MODULE, USER_PIN } from '../support/softhsm.ts'

describeWith([SOFTHSM_MODULE], 'p11chaos, for what it sees', () => {
  const bench = chaosBench()

  it('changes nothing without rules', () => {
    const iv = bench.random().subarray(0, 8)
    const ivOf12 = Buffer.concat([iv, Buffer.alloc(4)])
    expect(bench.decrypt(ivOf12, bench.encrypt(ivOf12))).toEqual(TEXT)
    const listed = bench.p11.C_GetMechanismList(bench.slot)
    const plain = spawnSync(
      process.execPath,
      [
        '-e',
        `const { PKCS11 } = require('pkcs11js'); const p11 = new PKCS11(); p11.load(process.argv[1]); p11.C_Initialize()
         const slot = p11.C_GetSlotList(true).find((one) => p11.C_GetTokenInfo(one).label.trimEnd() === 'first')
         console.log(JSON.stringify([p11.C_GetMechanismList(slot), p11.C_GetTokenInfo(slot).flags, p11.C_GetInfo()]))`,
        SOFTHSM_MODULE,
      ],
      { encoding: 'utf8' },
    )
    expect(JSON.parse(plain.stdout)).toEqual(
      JSON.parse(JSON.stringify([listed, bench.p11.C_GetTokenInfo(bench.slot).flags, bench.p11.C_GetInfo()])),
    )
    expect(ckr(() => bench.p11.C_DigestInit(bench.session, { mechanism: 0x1 }))).toBe('CKR_MECHANISM_INVALID')
  })

  it('traces what crosses the boundary, but no PIN', () => {
    bench.chaos.trace()
    const iv = Buffer.alloc(12, 9)
    const sealed = bench.encrypt(iv)
    bench.p11.C_Logout(bench.session)
    bench.p11.C_Login(bench.session, CKU_USER, USER_PIN)
    const big = bench.p11.C_GenerateRandom(bench.session, Buffer.alloc(5000))
    const calls = bench.chaos.trace()
    expect(calls.map((call) => call.function)).toEqual([
      'C_EncryptInit',
      'C_Encrypt',
      'C_Logout',
      'C_Login',
      'C_GenerateRandom',
    ])
    const [init, crypt, , logged, drawn] = calls
    expect(init).toMatchObject({ mechanism: 'CKM_AES_GCM', rv: 'CKR_OK', forwarded: true, pid: process.pid })
    expect(init?.buffers).toContainEqual({
      direction: 'in',
      name: 'pAAD',
      length: 3,
      hex: AAD.toString('hex'),
    })
    expect(crypt?.buffers).toEqual([
      { direction: 'in', name: 'pData', length: 32, hex: TEXT.toString('hex') },
      { direction: 'out', name: 'pEncryptedData', length: 48, hex: sealed.toString('hex') },
    ])
    expect(logged?.buffers).toContainEqual({ direction: 'in', name: 'pPin', redacted: true })
    expect(drawn?.buffers).toEqual([
      {
        direction: 'out',
        name: 'pRandomData',
        length: 5000,
        hex: big.subarray(0, 4096).toString('hex'),
        truncated: true,
      },
    ])
    bench.chaos.set('fail C_GenerateRandom CKR_DEVICE_ERROR')
    expect(ckr(bench.random)).toBe('CKR_DEVICE_ERROR')
    expect(bench.chaos.trace()).toMatchObject([
      { rv: 'CKR_DEVICE_ERROR', forwarded: false, rule: 4, buffers: [] },
    ])
  })

  it('counts calls, errors and what it answered itself', () => {
    const before = bench.chaos.stats()['C_GenerateRandom'] ?? { calls: 0, errors: 0, injected: 0 }
    times(3, bench.random)
    bench.chaos.set('fail C_GenerateRandom CKR_DEVICE_ERROR times=2')
    times(3, bench.random)
    expect(bench.chaos.stats()['C_GenerateRandom']).toEqual({
      calls: before.calls + 6,
      errors: before.errors + 2,
      injected: before.injected + 2,
    })
  })

  it('serves several threads while its rules change', async () => {
    const before = bench.chaos.stats()['C_Digest']?.calls ?? 0
    const stop = new Int32Array(new SharedArrayBuffer(4))
    const results = Array.from({ length: 4 }, (_, index) => digestInThread(bench.chaos.module, stop, index))
    await eventually(() => (bench.chaos.stats()['C_Digest']?.calls ?? 0) > before + 100)
    for (let round = 0; round < 40; round++) {
      bench.chaos.set([
        'fail C_Digest CKR_DEVICE_ERROR probability=0.05',
        'latency C_DigestInit 100us probability=0.1',
      ])
      await new Promise((resolve) => setTimeout(resolve, 5))
      bench.chaos.set('sessions-drop keep-login')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    bench.chaos.clear()
    Atomics.store(stop, 0, 1)
    const counts = await Promise.all(results)
    expect(counts.flatMap(({ wrong }) => wrong)).toEqual([])
    expect(counts.reduce((sum, { failed }) => sum + failed, 0)).toBeGreaterThan(20)
    const digests = bench.chaos.trace().filter((call) => call.function === 'C_Digest')
    expect(new Set(digests.map((call) => call.thread)).size).toBeGreaterThanOrEqual(4)
    expect(digests.length).toBe((bench.chaos.stats()['C_Digest']?.calls ?? 0) - before)
  })
})

interface DigestCounts {
  readonly ok: number
  readonly failed: number
  readonly wrong: readonly unknown[]
}

/** Digests in a thread of its own until told to stop; an error that no rule of the test gives is wrong. */
function digestInThread(module: string, stop: Int32Array, index: number): Promise<DigestCounts> {
  const worker = new Worker(DIGEST, { eval: true, workerData: { module, stop, index } })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

const DIGEST = `
const { parentPort, workerData } = require('node:worker_threads')
const { PKCS11 } = require('pkcs11js')
const p11 = new PKCS11(); p11.load(workerData.module)
try { p11.C_Initialize({ flags: 2 }) } catch {}
const slot = p11.C_GetSlotList(true).find((one) => p11.C_GetTokenInfo(one).label.trimEnd() === 'first')
const counts = { ok: 0, failed: 0, wrong: [] }
const data = Buffer.alloc(64, workerData.index)
const expected = require('node:crypto').createHash('sha256').update(data).digest()
let session = p11.C_OpenSession(slot, 6)
while (Atomics.load(workerData.stop, 0) === 0 || counts.ok < 200) {
  try {
    p11.C_DigestInit(session, { mechanism: 0x250 })
    const digest = p11.C_Digest(session, data, Buffer.alloc(32))
    if (!digest.equals(expected)) counts.wrong.push('digest')
    counts.ok++
  } catch (error) {
    counts.failed++
    if (![48, 0xb3].includes(error.code)) counts.wrong.push(error.code)
    try { p11.C_CloseSession(session) } catch {}
    session = p11.C_OpenSession(slot, 6)
  }
}
parentPort.postMessage(counts)
`
