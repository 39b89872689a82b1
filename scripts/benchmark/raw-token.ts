/**
 * `node scripts/benchmark/raw-token.ts MODULE LABEL PIN_FILE KEY_LABEL SECONDS [SESSIONS]`: sessions, each in a thread of its
 * own, that make the Cryptoki calls of GenerateDataKey (src/providers/pkcs11/procedures/seal-random.ts) as fast as they can.
 * Prints how many a second they made together. SOFTHSM2_CONF names the token.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import type * as Pkcs11 from 'pkcs11js'

const pkcs11js = createRequire(import.meta.url)('pkcs11js') as typeof Pkcs11
const [module = '', label = '', pinFile = '', keyLabel = '', seconds = '1', sessions = '1'] =
  process.argv.slice(2)
const DATA_KEY_BYTES = 32
const IV_BYTES = 12
/** Calls between two looks at the clock; few, because a slow token takes 15 ms for each operation. */
const BATCH = Number(sessions) > 1 ? 1 : 100
/** Domain, format, form, version id, empty context: as long as the service's own. */
const aad = Buffer.alloc(35, 1)

function open() {
  const token = new pkcs11js.PKCS11()
  token.load(module)
  ignoring('CKR_CRYPTOKI_ALREADY_INITIALIZED', () =>
    token.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK }),
  )
  const slot = token.C_GetSlotList(true).find((one) => token.C_GetTokenInfo(one).label.trimEnd() === label)
  if (!slot) throw new Error('no such token')
  const session = token.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION)
  const pin = readFileSync(pinFile, 'utf8').trim()
  ignoring('CKR_USER_ALREADY_LOGGED_IN', () => token.C_Login(session, pkcs11js.CKU_USER, pin))
  token.C_FindObjectsInit(session, [{ type: pkcs11js.CKA_LABEL, value: keyLabel }])
  const [key] = token.C_FindObjects(session, 1)
  token.C_FindObjectsFinal(session)
  if (!key) throw new Error('no such key')
  return { token, session, key }
}

function ignoring(name: string, call: () => void): void {
  try {
    call()
  } catch (error) {
    if (!String(error).includes(name)) throw error
  }
}

function generateDataKey({ token, session, key }: ReturnType<typeof open>): void {
  const random = token.C_GenerateRandom(session, Buffer.alloc(IV_BYTES + DATA_KEY_BYTES))
  const iv = random.subarray(0, IV_BYTES)
  const plaintext = random.subarray(IV_BYTES)
  const parameter = { type: pkcs11js.CK_PARAMS_AES_GCM_v240, iv, aad, ivBits: 96, tagBits: 128 }
  token.C_EncryptInit(session, { mechanism: pkcs11js.CKM_AES_GCM, parameter }, key)
  token.C_Encrypt(session, plaintext, Buffer.alloc(DATA_KEY_BYTES + 32))
}

/** Operations a second of one session. */
function measure(opened: ReturnType<typeof open>): number {
  let count = 0
  const started = process.hrtime.bigint()
  const until = started + BigInt(Math.round(Number(seconds) * 1e9))
  while (process.hrtime.bigint() < until) {
    for (let i = 0; i < BATCH; i += 1) generateDataKey(opened)
    count += BATCH
  }
  return count / (Number(process.hrtime.bigint() - started) / 1e9)
}

/** Every thread is open before the first one measures. */
async function measureInThreads(): Promise<number> {
  const args = { argv: process.argv.slice(2) }
  const workers = Array.from({ length: Number(sessions) }, () => new Worker(new URL(import.meta.url), args))
  const next = (worker: Worker) =>
    new Promise<number>((resolve, reject) => worker.once('message', resolve).once('error', reject))
  await Promise.all(workers.map(next))
  const measured = workers.map(async (worker) => {
    const answer = next(worker)
    worker.postMessage('go', [])
    return await answer
  })
  return (await Promise.all(measured)).reduce((sum, one) => sum + one, 0)
}

if (!isMainThread) {
  const opened = open()
  parentPort?.once('message', () => parentPort?.postMessage(measure(opened), []))
  parentPort?.postMessage(0, [])
} else {
  const opened = open()
  const perSecond = Number(sessions) > 1 ? await measureInThreads() : measure(opened)
  process.stdout.write(`${JSON.stringify({ perSecond })}\n`)
  opened.token.C_Finalize()
}
