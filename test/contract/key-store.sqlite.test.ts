import { describe } from 'vitest'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { keyStoreContract } from '../support/key-store-contract.ts'
import { storeFolder } from '../support/key-store-folder.ts'

const { nextPath } = storeFolder()

describe('SqlKeyStore on SQLite', () => keyStoreContract(() => openSqliteStore({ path: nextPath() })))
