import { deriveWith } from '../key-operations.ts'
import { type Procedure, part } from './procedure.ts'

/**
 * Agrees on a secret. Number: length of a scalar of the curve. Parts: handle of the `priv` object, the other's point,
 * uncompressed. Result: the abscissa of the shared point.
 */
export const deriveSecret: Procedure = (token, lengthBytes, parts) => [
  deriveWith(token, part(parts, 0), part(parts, 1), lengthBytes),
]
