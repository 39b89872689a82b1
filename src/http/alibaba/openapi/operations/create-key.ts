import { z } from 'zod'
import type { KeySpec, KeyUsage } from '../../../../core/key.ts'
import type { UndrivenKeySpec } from '../../../../core/undriven-specs.ts'
import { invalidParameter, missing, unsupported } from '../fault.ts'
import { flag, rotationInterval } from '../members.ts'
import { type OpenApiOperation, openApiOperation } from '../operation.ts'
import { keyMetadata } from '../wire.ts'
import { policyDocument } from './key-policies.ts'
import { tagsJson } from './tags.ts'

const DESCRIPTION_CHARACTERS_MAX = 8192

/** How long a new key pair waits while the token makes others, before the caller is throttled. Milliseconds. */
export const PAIR_WAIT_MS = 5_000

/** Specs of the real service that no key has here. */
const OTHER_SPECS = ['Aliyun_AES_128', 'Aliyun_AES_192', 'Aliyun_SM4'] as const

function isOther(spec: string): spec is (typeof OTHER_SPECS)[number] {
  return OTHER_SPECS.some((other) => other === spec)
}

/** What each spec is in the core, and what it may be made for, the default first: signing for a key that can. */
const SPECS = {
  Aliyun_AES_256: { spec: 'SYMMETRIC_DEFAULT', usages: ['ENCRYPT_DECRYPT'] },
  RSA_2048: { spec: 'RSA_2048', usages: ['SIGN_VERIFY', 'ENCRYPT_DECRYPT'] },
  RSA_3072: { spec: 'RSA_3072', usages: ['SIGN_VERIFY', 'ENCRYPT_DECRYPT'] },
  RSA_4096: { spec: 'RSA_4096', usages: ['SIGN_VERIFY', 'ENCRYPT_DECRYPT'] },
  EC_P256: { spec: 'ECC_NIST_P256', usages: ['SIGN_VERIFY'] },
  EC_P256K: { spec: 'ECC_SECG_P256K1', usages: ['SIGN_VERIFY'] },
  EC_SM2: { spec: 'SM2', usages: ['SIGN_VERIFY', 'ENCRYPT_DECRYPT'] },
  HMAC_224: { spec: 'HMAC_224', usages: ['GENERATE_VERIFY_MAC'] },
  HMAC_256: { spec: 'HMAC_256', usages: ['GENERATE_VERIFY_MAC'] },
  HMAC_384: { spec: 'HMAC_384', usages: ['GENERATE_VERIFY_MAC'] },
  HMAC_512: { spec: 'HMAC_512', usages: ['GENERATE_VERIFY_MAC'] },
} as const satisfies Readonly<
  Record<string, { spec: KeySpec | UndrivenKeySpec; usages: readonly [KeyUsage, ...KeyUsage[]] }>
>

const USAGES = {
  'ENCRYPT/DECRYPT': 'ENCRYPT_DECRYPT',
  'SIGN/VERIFY': 'SIGN_VERIFY',
  'GENERATE/VERIFY_MAC': 'GENERATE_VERIFY_MAC',
} as const

/** Making keys. */
export const CREATE_KEY_OPERATIONS = {
  CreateKey: openApiOperation({
    refuses: ['DKMSInstanceId', 'KeyStorageMechanism'],
    parameters: z.object({
      Description: z.string().max(DESCRIPTION_CHARACTERS_MAX).optional(),
      KeySpec: z
        .enum([
          'Aliyun_AES_256',
          'RSA_2048',
          'RSA_3072',
          'RSA_4096',
          'EC_P256',
          'EC_P256K',
          'EC_SM2',
          'HMAC_224',
          'HMAC_256',
          'HMAC_384',
          'HMAC_512',
          ...OTHER_SPECS,
        ])
        .optional(),
      KeyUsage: z.enum(['ENCRYPT/DECRYPT', 'SIGN/VERIFY', 'GENERATE/VERIFY_MAC']).optional(),
      Origin: z.enum(['Aliyun_KMS', 'EXTERNAL']).optional(),
      ProtectionLevel: z.enum(['SOFTWARE', 'HSM']).optional(),
      EnableAutomaticRotation: flag.optional(),
      RotationInterval: rotationInterval.optional(),
      Policy: policyDocument.optional(),
      Tags: tagsJson.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const { KeySpec = 'Aliyun_AES_256', Origin = 'Aliyun_KMS' } = body
      if (isOther(KeySpec)) throw unsupported(`KeySpec ${KeySpec}`)
      const { spec, usages } = SPECS[KeySpec]
      const usage = body.KeyUsage === undefined ? usages[0] : USAGES[body.KeyUsage]
      if (!usages.some((allowed) => allowed === usage)) throw invalidParameter('KeyUsage')
      const external = Origin === 'EXTERNAL'
      const days = body.EnableAutomaticRotation ? body.RotationInterval : undefined
      if (body.EnableAutomaticRotation && days === undefined) throw missing('RotationInterval')
      if (external && spec !== 'SYMMETRIC_DEFAULT')
        throw unsupported(`Origin ${Origin} of KeySpec ${KeySpec}`)
      if (days !== undefined && (external || spec !== 'SYMMETRIC_DEFAULT'))
        throw invalidParameter('EnableAutomaticRotation')
      const key = await kms.createKey(context, {
        description: body.Description,
        tags: body.Tags,
        ...(body.Policy !== undefined && { policy: { language: 'RAM', policy: body.Policy } }),
        spec,
        usage,
        ...(external && { origin: 'EXTERNAL' }),
        ...(body.ProtectionLevel === 'SOFTWARE' && { protectionLevel: body.ProtectionLevel }),
        rotationPeriodDays: days,
        waitMs: PAIR_WAIT_MS,
      })
      return { KeyMetadata: keyMetadata(scope, key) }
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>
