import { cryptoProviderContract } from '../support/crypto-provider-contract.ts'
import { describeWith, makeSoftHsm, SOFTHSM_MODULE, settingsFor, startProvider } from '../support/softhsm.ts'

describeWith([SOFTHSM_MODULE], 'SoftHSM', () => {
  cryptoProviderContract(
    async () => {
      const softHsm = makeSoftHsm()
      softHsm.initToken('contract')
      const provider = await startProvider(settingsFor('contract'))
      const close = async () => {
        await provider.close()
        softHsm.remove()
      }
      return { provider, token: 'main', close }
    },
    { unable: ['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87'] },
  )
})
