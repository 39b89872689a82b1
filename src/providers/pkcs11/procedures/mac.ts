import { invariant } from '../../../lib/invariant.ts'
import { macWith } from '../key-operations.ts'
import { type Procedure, part } from './procedure.ts'
import { MAC_NUMBERS } from './sign.ts'

/** Makes a MAC. Number: index in {@link MAC_NUMBERS}. Parts: handle of the `mac` object, message. Result: the MAC. */
export const mac: Procedure = (token, number, parts) => {
  const algorithm = MAC_NUMBERS[number]
  invariant(algorithm, 'a request names an algorithm')
  return [macWith(token, part(parts, 0), algorithm, part(parts, 1))]
}
