import { z } from 'zod'
import { name } from './common-schema.ts'

/** A client key of the KMS Instance API that the operator gave out. */
export const clientKey = z.strictObject({
  clientKeyId: z
    .string()
    .regex(/^KAAP\.[A-Za-z0-9_-]{1,64}$/, 'A client key id is KAAP. and 1 to 64 letters, digits, _ and -.')
    .describe('Id that its requests carry, such as KAAP. and a UUID.'),
  publicKeyFile: z
    .string()
    .min(1)
    .describe(
      'Path of its RSA public key of 2048 to 4096 bits, or of a certificate with one, in PEM; writable by its owner alone.',
    ),
  region: name('A region')
    .optional()
    .describe('Region whose keys it uses, one of `regions`; the first of them when absent.'),
  expiresAt: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('When it stops working (RFC 3339); never when absent. A certificate’s own times do not count.'),
})
