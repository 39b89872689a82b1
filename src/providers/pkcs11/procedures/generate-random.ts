import type { Procedure } from './procedure.ts'

/** Number: how many bytes. Result: bytes of the token's generator. */
export const generateRandom: Procedure = (token, lengthBytes) => [
  token.p11.C_GenerateRandom(token.session, Buffer.alloc(lengthBytes)),
]
