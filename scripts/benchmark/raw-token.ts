/**
 * `node scripts/benchmark/raw-token.ts MODULE LABEL PIN_FILE KEY_LABEL SECONDS`: one session in one process that makes
 * the Cryptoki calls of GenerateDataKey (src/providers/pkcs11/procedures/seal-random.ts) as fast as it can, and prints how
 * many a second. SOFTHSM2_CONF names the token.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type * as Pkcs11 from 'pkcs11js'

const pkcs11js = createRequire(import.meta.url)('pkcs11js') as typeof Pkcs11
const [module = '', label = '', pinFile = '', keyLabel = '', seconds = '1'] = process.argv.slice(2)
const DATA_KEY_BYTES = 32
const IV_BYTES = 12
/** Domain, format, form, version id, empty context: as long as the service's own. */
const aad = Buffer.alloc(35, 1)

const token = new pkcs11js.PKCS11()
token.load(module)
token.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK })
const slot = token.C_GetSlotList(true).find((one) => token.C_GetTokenInfo(one).label.trimEnd() === label)
if (!slot) throw new Error('no such token')
const session = token.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION)
token.C_Login(session, pkcs11js.CKU_USER, readFileSync(pinFile, 'utf8').trim())
token.C_FindObjectsInit(session, [{ type: pkcs11js.CKA_LABEL, value: keyLabel }])
const [key] = token.C_FindObjects(session, 1)
token.C_FindObjectsFinal(session)
if (!key) throw new Error('no such key')

function generateDataKey(masterKey: Buffer): void {
  const random = token.C_GenerateRandom(session, Buffer.alloc(IV_BYTES + DATA_KEY_BYTES))
  const iv = random.subarray(0, IV_BYTES)
  const plaintext = random.subarray(IV_BYTES)
  const parameter = { type: pkcs11js.CK_PARAMS_AES_GCM_v240, iv, aad, ivBits: 96, tagBits: 128 }
  token.C_EncryptInit(session, { mechanism: pkcs11js.CKM_AES_GCM, parameter }, masterKey)
  token.C_Encrypt(session, plaintext, Buffer.alloc(DATA_KEY_BYTES + 32))
}

const BATCH = 100
let count = 0
const started = process.hrtime.bigint()
const until = started + BigInt(Math.round(Number(seconds) * 1e9))
while (process.hrtime.bigint() < until) {
  for (let i = 0; i < BATCH; i++) generateDataKey(key)
  count += BATCH
}
const elapsed = Number(process.hrtime.bigint() - started) / 1e9
process.stdout.write(`${JSON.stringify({ perSecond: count / elapsed })}\n`)
token.C_Finalize()
