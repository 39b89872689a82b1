import { expect, it } from 'vitest'
import { faultToKmsError, toFault } from '../../../src/providers/pkcs11/errors.ts'
import { openProven } from '../../../src/providers/pkcs11/prove-open.ts'
import { ScriptedLibrary } from './scripted-token.ts'

it.each([new TypeError('Argument 2 has wrong type'), new RangeError('out of range')])(
  'never blames a ciphertext for a mistake of our own: %s',
  (mistake) => {
    const token = new ScriptedLibrary().attach()
    const open = () => {
      throw mistake
    }
    expect(() => openProven(token, open, () => undefined)).toThrow(mistake)
    expect(() => faultToKmsError('prod', toFault(mistake))).toThrow(
      expect.objectContaining({ name: 'InvariantError' }),
    )
  },
)
