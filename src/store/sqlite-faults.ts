import Database from 'better-sqlite3'
import { type SqlFault, StoreFault } from './faults.ts'

/** What the operator does about an error of SQLite, by how its code begins; the first row that fits counts. */
const HINTS: readonly (readonly [code: string, hint: string])[] = [
  ['SQLITE_FULL', 'The disk or its quota is full: make room; the store goes on by itself.'],
  [
    'SQLITE_READONLY',
    'The store has become read-only: see whether the file system was remounted (dmesg) and whether the file and its folder still belong to the user that runs p11kms.',
  ],
  [
    'SQLITE_BUSY',
    'Another program holds the store (fuser names it): end a long backup or an open sqlite3 shell.',
  ],
  ['SQLITE_LOCKED', 'Another program holds the store (fuser names it).'],
  [
    'SQLITE_IOERR',
    'The disk failed to read or write: look into dmesg, move the store to a sound local disk, restart.',
  ],
  [
    'SQLITE_CORRUPT',
    'The store is damaged: stop, keep a copy of the file with its -wal file, restore a backup.',
  ],
  ['SQLITE_NOTADB', 'The file is no SQLite database any more: stop, keep a copy, restore a backup.'],
  ['SQLITE_CANTOPEN', 'A file beside the store cannot be opened: check the mode and owner of its folder.'],
  ['SQLITE_PERM', 'The store may not be accessed: check the mode and owner of the file and its folder.'],
  ['SQLITE_NOMEM', 'The process has no memory left: raise its limit and restart.'],
]
const OTHER_HINT = 'Look the code up at sqlite.org/rescode.html, check the disk, and restart.'

/** What an error of better-sqlite3 means (sqlite.org, "Result and Error Codes"). */
export function classifySqliteFault(error: unknown): SqlFault {
  if (error instanceof StoreFault) return error
  if (!(error instanceof Database.SqliteError)) return undefined
  switch (error.code) {
    case 'SQLITE_CONSTRAINT_PRIMARYKEY':
    case 'SQLITE_CONSTRAINT_UNIQUE':
      return 'unique'
    case 'SQLITE_CONSTRAINT_FOREIGNKEY':
      return 'foreign-key'
    default:
      return new StoreFault(error.code, error.message, hintOf(error.code), { cause: error })
  }
}

function hintOf(code: string): string {
  return HINTS.find(([start]) => code.startsWith(start))?.[1] ?? OTHER_HINT
}
