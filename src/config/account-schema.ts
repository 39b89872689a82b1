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

const UID_WRONG = 'An Alibaba Cloud account id has 5 to 20 digits; put it in quotes.'

/** An Alibaba Cloud account number. */
export const alibabaUid = z.string(UID_WRONG).regex(/^[0-9]{5,20}$/, UID_WRONG)

/** One access key of an account for the Alibaba Cloud KMS API. */
export const alibabaCredential = z.strictObject({
  accessKeyId: z
    .string()
    .regex(/^[A-Za-z0-9.]{16,128}$/, 'An Alibaba access key id has 16 to 128 letters, digits and dots.')
    .describe('Public part of the credential, such as LTAI… or, with a security token, STS.…'),
  accessKeySecret: secretSource.describe('Secret part of the credential.'),
  securityToken: secretSource
    .optional()
    .describe('Security token that each request must carry; absent for a long-term credential.'),
  expiresAt: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('When the credential stops working (RFC 3339); never when absent.'),
})
