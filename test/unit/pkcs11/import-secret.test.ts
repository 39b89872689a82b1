import { createHash, randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { AES_MATERIAL } from '../../../src/providers/pkcs11/import-secret.ts'
import { ScriptedLibrary } from './scripted-token.ts'

it('AES material is the same only where the token seals with the same value', () => {
  const token = new ScriptedLibrary().attach()
  const handle = Buffer.from('0700000000000000', 'hex')
  const name = { keyId: 'k', versionId: 'v', versionNumber: 1 }
  const source = { name, way: 'inside', make: () => handle } as const
  // What a scripted token takes for the value of a key that was never made.
  const value = createHash('sha256').update(handle).digest()
  expect(AES_MATERIAL.isSame(token, source, value)).toBe(true)
  expect(AES_MATERIAL.isSame(token, source, randomBytes(32))).toBe(false)
})
