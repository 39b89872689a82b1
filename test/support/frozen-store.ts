import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'

/** What test/vectors/store-13 holds, in the words of its README. Bytes are base64. */
export interface FrozenStore {
  readonly frozenAt: number
  readonly symmetric: {
    readonly keyId: string
    readonly policy: string
    readonly tags: readonly { readonly key: string; readonly value: string }[]
    readonly context: readonly (readonly [string, string])[]
    readonly blobs: readonly (readonly [blob: string, plaintext: string])[]
    readonly grantId: string
    readonly grantToken: string
  }
  readonly rsa: Sealed & { readonly algorithm: string }
  readonly signing: readonly (Signed & { readonly spec: string; readonly publicKey: string })[]
  readonly agreement: { readonly keyId: string; readonly peer: string; readonly secret: string }
  readonly mac: Omit<Signed, 'signature'> & { readonly mac: string }
  readonly imported: {
    readonly keyId: string
    readonly material: readonly [string, string]
    readonly blobs: readonly (readonly [blob: string, plaintext: string])[]
  }
  readonly expiring: Sealed & { readonly material: string }
  readonly waiting: { readonly keyId: string; readonly importToken: string; readonly wrapped: string }
  readonly multiRegion: Sealed
  readonly states: { readonly disabled: string; readonly going: string; readonly guarded: string }
  readonly cutShort: {
    readonly rotation: string
    readonly blob: string
    readonly plaintext: string
    readonly creation: string
  }
  readonly access: { readonly clientKeyId: string; readonly publicKey: string }
  readonly canary: { readonly versionId: string }
}

interface Sealed {
  readonly keyId: string
  readonly blob: string
  readonly plaintext: string
}

interface Signed {
  readonly keyId: string
  readonly algorithm: string
  readonly message: string
  readonly signature: string
}

const FOLDER = new URL('../vectors/store-13/', import.meta.url)
const read = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8')

/** Label of its token. */
export const FROZEN_LABEL = 'kms'

/** Milliseconds since the epoch, between 2001 and 2033. */
const TIME = /\b1\d{12}\b/g

/**
 * Writes the frozen store and its token anew, as if it had ended at this moment: every time in it is moved.
 *
 * @param path - Where the SQLite file comes to be.
 * @param tokens - The directory of tokens of a SoftHSM, which no process has opened yet.
 */
export function thaw(path: string, tokens: string): FrozenStore {
  const expected = JSON.parse(read('expected.json')) as FrozenStore
  const movedMs = Date.now() - expected.frozenAt
  const database = new Database(path)
  database.exec(read('store.sql').replace(TIME, (time) => `${Number(time) + movedMs}`))
  database.close()
  chmodSync(path, 0o600)
  for (const [name, content] of Object.entries(JSON.parse(read('token.json')) as Record<string, string>)) {
    mkdirSync(dirname(join(tokens, name)), { recursive: true })
    const file = join(tokens, name)
    writeFileSync(file, Buffer.from(content, 'base64'))
    // SoftHSM destroys no object whose lock file is not there to be removed.
    writeFileSync(file.replace(/\.object$/, '.lock'), '')
  }
  return expected
}
