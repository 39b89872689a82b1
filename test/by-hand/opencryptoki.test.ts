import { execFileSync } from 'node:child_process'
import { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { cryptoProviderContract } from '../support/crypto-provider-contract.ts'
import { LogRecorder, settingsFor } from '../support/softhsm.ts'

/** Set by scripts/opencryptoki, which is what runs this: the library, and the mode that its version is known for. */
const MODULE = process.env['OPENCRYPTOKI_MODULE'] ?? ''
const INSIDE = process.env['OPENCRYPTOKI_INSIDE'] === 'W2' ? 'W2' : 'W1'
const USER_PIN = 'u8841207'

const ROOT = new URL('../..', import.meta.url)

/** Both PINs have to be changed before openCryptoki lets anybody work, and no default is taken. */
const INIT_TOKEN = `
const { default: pkcs11js } = await import('pkcs11js')
const { SO_PIN, USER_PIN } = process.env
const p11 = new pkcs11js.PKCS11()
p11.load(process.argv[1])
p11.C_Initialize({ flags: 2 })
const [slot] = p11.C_GetSlotList(true)
p11.C_InitToken(slot, '87654321', 'contract'.padEnd(32))
const session = p11.C_OpenSession(slot, 6)
p11.C_Login(session, 0, '87654321')
p11.C_SetPIN(session, '87654321', SO_PIN)
p11.C_InitPIN(session, 'initial1')
p11.C_Logout(session)
p11.C_Login(session, 1, 'initial1')
p11.C_SetPIN(session, 'initial1', USER_PIN)
p11.C_Finalize()
`

async function openToken() {
  const env = { ...process.env, SO_PIN: 's5790132', USER_PIN, NODE_OPTIONS: '' }
  execFileSync(process.execPath, ['--input-type=module', '-e', INIT_TOKEN, MODULE], { cwd: ROOT, env })
  const log = new LogRecorder()
  const settings = settingsFor('contract', { module: MODULE, readPin: async () => Buffer.from(USER_PIN) })
  const provider = await Pkcs11Provider.start(settings, {
    log,
    onFatal: (error) => {
      throw error
    },
  })
  // Worth reading whenever this is run.
  process.stdout.write(`${JSON.stringify(provider.status(), undefined, 2)}\n`)
  return { provider, token: 'main', close: () => provider.close() }
}

cryptoProviderContract(openToken, { inside: INSIDE, insideBytesMin: 16, insideBytesMax: 256 })
