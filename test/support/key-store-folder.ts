import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

/** A folder that is gone after the tests of a file, and paths in it for stores that are not there yet. */
export function storeFolder(): { readonly directory: string; readonly nextPath: () => string } {
  const directory = mkdtempSync(join(tmpdir(), 'p11kms-store-'))
  let made = 0
  afterAll(() => rmSync(directory, { recursive: true }))
  return { directory, nextPath: () => join(directory, `${++made}.db`) }
}
