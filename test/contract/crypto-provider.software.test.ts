import { describe } from 'vitest'
import { cryptoProviderContract } from '../support/crypto-provider-contract.ts'
import { SoftwareProvider } from '../support/software-provider.ts'

describe('the software double', () => {
  cryptoProviderContract(async () => ({
    provider: new SoftwareProvider(),
    token: 'main',
    close: async () => {},
  }))
})
