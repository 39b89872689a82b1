import { describe } from 'vitest'
import { keyStoreContract } from '../support/key-store-contract.ts'
import { MemoryKeyStore } from '../support/memory-key-store.ts'

describe('MemoryKeyStore', () => keyStoreContract(async () => new MemoryKeyStore()))
