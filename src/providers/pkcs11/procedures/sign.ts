import {
  MAC_ALGORITHMS,
  type MacAlgorithm,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
  type TokenSigning,
} from '../../../core/key-spec.ts'
import { invariant } from '../../../lib/invariant.ts'
import { signWith } from '../key-operations.ts'
import { type Procedure, part } from './procedure.ts'

/** Algorithms by the number that a request has for them. */
export const SIGNING_NUMBERS: readonly TokenSigning[] = [
  ...(Object.keys(SIGNING_ALGORITHMS) as SigningAlgorithm[]),
  'ML_DSA_EXTERNAL_MU',
]
export const MAC_NUMBERS = Object.keys(MAC_ALGORITHMS) as readonly MacAlgorithm[]

/**
 * Signs with a private key.
 *
 * Number: index in {@link SIGNING_NUMBERS}. Parts: handle of the `priv` object, what is signed. Result: the signature as
 * `CryptoProvider.sign` gives it.
 */
export const sign: Procedure = (token, number, parts) => {
  const algorithm = SIGNING_NUMBERS[number]
  invariant(algorithm, 'a request names an algorithm')
  return [signWith(token, part(parts, 0), algorithm, part(parts, 1))]
}
