import { z } from 'zod'
import { secretSource } from './common-schema.ts'

const ACCOUNT_ID_WRONG = 'An AWS account id has 12 digits; put it in quotes.'

/** An AWS account number. */
export const awsAccountId = z.string(ACCOUNT_ID_WRONG).regex(/^[0-9]{12}$/, ACCOUNT_ID_WRONG)

/** One access key of an account, its secrets from elsewhere. */
export const credential = z.strictObject({
  accessKeyId: z
    .string()
    .regex(/^[A-Za-z0-9]{16,128}$/, 'An access key id has 16 to 128 letters and digits.')
    .describe('Public part of the credential.'),
  secretAccessKey: secretSource.describe('Secret part of the credential.'),
  sessionToken: secretSource
    .optional()
    .describe('Session token that each request must carry; absent for a long-term credential.'),
  expiresAt: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('When the credential stops working (RFC 3339); never when absent.'),
})
