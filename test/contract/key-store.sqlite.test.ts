import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe } from 'vitest'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { keyStoreContract } from '../support/key-store-contract.ts'

const directory = mkdtempSync(join(tmpdir(), 'p11kms-store-'))
afterAll(() => rmSync(directory, { recursive: true }))
let opened = 0

describe('SqlKeyStore on SQLite', () =>
  keyStoreContract(() => openSqliteStore({ path: join(directory, `${++opened}.db`) })))
