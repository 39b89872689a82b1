import { expect, it } from 'vitest'
import type { SealMode } from '../../src/core/ports/crypto-provider.ts'
import type { GcmIvSource, Pkcs11TokenSettings } from '../../src/providers/pkcs11/settings.ts'
import { cryptoProviderContract, type ProviderTraits } from '../support/crypto-provider-contract.ts'
import { ONE_SPEC_OF_EACH_KIND } from '../support/crypto-provider-contract-keys.ts'
import { makeChaos } from '../support/p11chaos.ts'
import {
  describeWith,
  freshRef,
  makeSoftHsm,
  SOFTHSM_MODULE,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

/** SoftHSM 2.6.1 has key wrap behind this number alone. */
const NO_KEY_WRAP = 'hide-mechanism CKM_AES_KEY_WRAP_KWP,CKM_AES_KEY_WRAP_PAD'

/** SoftHSM in the guise of tokens that we do not have. */
interface Guise {
  readonly rules: readonly string[]
  readonly settings?: Partial<Pkcs11TokenSettings>
  readonly traits?: Partial<ProviderTraits>
  /** What the probe has to find. */
  readonly found: object
}

const GUISES: Readonly<Record<string, Guise>> = {
  'that writes its IVs back, as CloudHSM and nShield do': {
    rules: ['gcm-iv written-back'],
    found: { gcm: { ivSource: 'writtenBack', wrongTagCkr: 'CKR_GENERAL_ERROR' }, insideSealMode: 'W2' },
  },
  'that appends its IVs, as Luna does in FIPS mode': {
    rules: ['gcm-iv appended'],
    traits: { ivBytes: 16 },
    found: { gcm: { ivSource: 'appended' }, insideSealMode: 'W2' },
  },
  'that answers a wrong tag with CKR_FUNCTION_FAILED, as nShield does': {
    rules: ['gcm-iv written-back', 'wrong-tag CKR_FUNCTION_FAILED'],
    found: { gcm: { ivSource: 'writtenBack', wrongTagCkr: 'CKR_FUNCTION_FAILED' } },
  },
  'that answers a wrong tag as if it were pulled': {
    rules: ['wrong-tag CKR_DEVICE_REMOVED'],
    found: { gcm: { wrongTagCkr: 'CKR_DEVICE_REMOVED' } },
  },
  'that answers a wrong tag in its own words': {
    rules: ['wrong-tag 0x80000011'],
    found: { gcm: { wrongTagCkr: '0x80000011' } },
  },
  'that decides by itself whether an unwrapped key can be read, as openCryptoki does': {
    rules: ['unwrap-no-template-override'],
    found: { keyWrap: { format: 'rfc5649', readOut: 'bare' } },
  },
  'that keeps no extractable key sensitive, as nShield does': {
    // The first two templates of a data key that are tried, at connect.
    rules: ['fail C_GenerateKey CKR_TEMPLATE_INCONSISTENT mechanism=CKM_GENERIC_SECRET_KEY_GEN times=1'],
    found: { dataKeysSensitive: false, insideSealMode: 'W2' },
  },
  'that takes no padding of RSA off': {
    rules: ['hide-mechanism CKM_RSA_PKCS_OAEP'],
    found: {},
  },
  'that knows the attributes of v2.20 alone': {
    rules: ['hide-attribute CKA_COPYABLE,CKA_DESTROYABLE,CKA_ALLOWED_MECHANISMS'],
    found: { allowedMechanisms: false },
  },
  'that wraps nothing': {
    rules: [NO_KEY_WRAP],
    traits: { inside: 'none' },
    found: { gcmWrap: false, keyWraps: [], insideBytes: { min: 0, max: 0 } },
  },
  'that wraps nothing, with keys in host memory allowed': {
    rules: [NO_KEY_WRAP],
    settings: { allowHostMemory: true },
    traits: { inside: 'hostMemory' },
    found: { gcmWrap: false, keyWraps: [] },
  },
}

for (const [name, { rules, settings, traits, found }] of Object.entries(GUISES)) {
  describeWith([SOFTHSM_MODULE], `a token ${name}`, () => {
    cryptoProviderContract(
      async () => {
        const softHsm = makeSoftHsm()
        softHsm.initToken('contract')
        const chaos = makeChaos(softHsm, rules)
        const provider = await startProvider(settingsFor('contract', { module: chaos.module, ...settings }))
        expect(provider.status()).toMatchObject({ state: 'up', capabilities: found })
        const close = async () => {
          await provider.close()
          softHsm.remove()
        }
        return { provider, token: 'main', close }
      },
      { specs: ONE_SPEC_OF_EACH_KIND, ...traits },
    )
  })
}

describeWith([SOFTHSM_MODULE], 'a token whose IVs change hands', () => {
  const RULES: Readonly<Record<GcmIvSource, string>> = {
    caller: '',
    writtenBack: 'gcm-iv written-back',
    appended: 'gcm-iv appended',
  }

  it('opens under each source of IVs what it sealed under every other', async () => {
    const softHsm = makeSoftHsm()
    softHsm.initToken('changing')
    const chaos = makeChaos(softHsm)
    const connect = async (source: GcmIvSource) => {
      chaos.set(RULES[source])
      const provider = await startProvider(settingsFor('changing', { module: chaos.module }))
      expect(provider.status()).toMatchObject({ capabilities: { gcm: { ivSource: source } } })
      return provider
    }
    const sources = Object.keys(RULES) as GcmIvSource[]
    const aadOf = (mode: SealMode) => Buffer.from(mode)
    const ref = freshRef()
    const made = []
    for (const source of sources) {
      const provider = await connect(source)
      if (source === 'caller') await provider.createMasterKey(ref, within())
      const outside = await provider.sealRandom(ref, 32, aadOf('W0'), within())
      const inside = await provider.sealRandomInside(ref, 32, aadOf, within())
      const insideKey = await provider.open(ref, 'W2', inside, aadOf('W2'), within())
      made.push({ outside, inside, insideKey })
      await provider.close()
    }
    for (const source of sources) {
      const provider = await connect(source)
      for (const { outside, inside, insideKey } of made) {
        expect(await provider.open(ref, 'W0', outside, aadOf('W0'), within())).toEqual(outside.plaintext)
        expect(await provider.open(ref, 'W2', inside, aadOf('W2'), within())).toEqual(insideKey)
      }
      await provider.close()
    }
    softHsm.remove()
  })
})
