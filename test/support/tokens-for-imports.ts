import type { Pkcs11TokenSettings } from '../../src/providers/pkcs11/settings.ts'
import { makeNss } from './nss.ts'
import { makeSoftHsm, settingsFor, startProvider } from './softhsm.ts'

/** Import pairs of RSA_4096 take their time. */
const PATIENT = { laneTimeoutMs: 60_000, pairTimeoutMs: 50_000 }

/** A provider on a new SoftHSM token, for the contracts of imports. */
export async function openSoftHsm(overrides: Partial<Pkcs11TokenSettings> = {}) {
  const softHsm = makeSoftHsm()
  softHsm.initToken('import')
  const provider = await startProvider(settingsFor('import', { ...PATIENT, ...overrides }))
  return { provider, token: 'main', close: () => provider.close().then(() => softHsm.remove()) }
}

/** As {@link openSoftHsm}, on a new NSS token. */
export async function openNss(overrides: Partial<Pkcs11TokenSettings> = {}) {
  const nss = makeNss()
  const provider = await startProvider({ ...nss.settings(PATIENT), ...overrides })
  return { provider, token: 'main', close: () => provider.close().then(() => nss.remove()) }
}
