import { z } from 'zod'
import { missing, unsupported } from '../fault.ts'
import { flag, rotationInterval } from '../members.ts'
import { type OpenApiOperation, openApiOperation } from '../operation.ts'
import { keyMetadata } from '../wire.ts'
import { tagsJson } from './tags.ts'

const DESCRIPTION_CHARACTERS_MAX = 8192

/** Making keys. */
export const CREATE_KEY_OPERATIONS = {
  CreateKey: openApiOperation({
    refuses: ['DKMSInstanceId', 'KeyStorageMechanism', 'Policy'],
    parameters: z.object({
      Description: z.string().max(DESCRIPTION_CHARACTERS_MAX).optional(),
      KeySpec: z
        .enum([
          'Aliyun_AES_256',
          'Aliyun_AES_128',
          'Aliyun_AES_192',
          'Aliyun_SM4',
          'RSA_2048',
          'RSA_3072',
          'RSA_4096',
          'EC_P256',
          'EC_P256K',
          'EC_SM2',
        ])
        .optional(),
      KeyUsage: z.enum(['ENCRYPT/DECRYPT', 'SIGN/VERIFY']).optional(),
      Origin: z.enum(['Aliyun_KMS', 'EXTERNAL']).optional(),
      ProtectionLevel: z.enum(['SOFTWARE', 'HSM']).optional(),
      EnableAutomaticRotation: flag.optional(),
      RotationInterval: rotationInterval.optional(),
      Tags: tagsJson.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const { KeySpec = 'Aliyun_AES_256', Origin = 'Aliyun_KMS' } = body
      if (KeySpec !== 'Aliyun_AES_256') throw unsupported(`KeySpec ${KeySpec}`)
      if (Origin !== 'Aliyun_KMS') throw unsupported(`Origin ${Origin}`)
      if (body.KeyUsage === 'SIGN/VERIFY') throw unsupported(`KeyUsage ${body.KeyUsage}`)
      const days = body.EnableAutomaticRotation ? body.RotationInterval : undefined
      if (body.EnableAutomaticRotation && days === undefined) throw missing('RotationInterval')
      const made = await kms.createKey(context, { description: body.Description, tags: body.Tags })
      const key = days === undefined ? made : await kms.enableKeyRotation(context, made.keyId, days)
      return { KeyMetadata: keyMetadata(scope, key) }
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>
