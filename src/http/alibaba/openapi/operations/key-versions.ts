import { z } from 'zod'
import { requireVersion } from '../../../../core/find-key.ts'
import type { KeyVersion, MasterKey } from '../../../../core/key.ts'
import { missing } from '../fault.ts'
import { parseKeyIdentifier, parseManagedKeyId } from '../key-names.ts'
import { flag, keyId, keyVersionId, page, pageOf, rotationInterval } from '../members.ts'
import { type OpenApiOperation, openApiOperation } from '../operation.ts'
import { toUtc } from '../timestamp.ts'
import { keyMembers } from '../wire.ts'
import { PAIR_WAIT_MS } from './create-key.ts'

function versionRow(key: MasterKey, version: KeyVersion) {
  return {
    ...keyMembers({ key, version }),
    CreationDate: toUtc(version.createdAt),
  }
}

/** The generations of a key's material. */
export const KEY_VERSION_OPERATIONS = {
  CreateKeyVersion: openApiOperation({
    parameters: z.object({ KeyId: keyId }),
    handle: async ({ kms, context, scope }, body) => {
      const named = parseKeyIdentifier(scope, body.KeyId)
      const { key, version } = await kms.createKeyVersion(context, { key: named, waitMs: PAIR_WAIT_MS })
      return { KeyVersion: versionRow(key, version) }
    },
  }),

  DescribeKeyVersion: openApiOperation({
    parameters: z.object({ KeyId: keyId, KeyVersionId: keyVersionId }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      const key = await kms.describeKey(context, { kind: 'id', keyId: id })
      return { KeyVersion: versionRow(key, requireVersion(key, body.KeyVersionId)) }
    },
  }),

  ListKeyVersions: openApiOperation({
    parameters: z.object({ KeyId: keyId, ...page }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      const key = await kms.describeKey(context, { kind: 'id', keyId: id })
      const { rows, counts } = pageOf(key.versions, body)
      return { KeyVersions: { KeyVersion: rows.map((version) => versionRow(key, version)) }, ...counts }
    },
  }),

  UpdateRotationPolicy: openApiOperation({
    parameters: z.object({
      KeyId: keyId,
      EnableAutomaticRotation: flag,
      RotationInterval: rotationInterval.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      if (!body.EnableAutomaticRotation) await kms.disableKeyRotation(context, id)
      else if (body.RotationInterval === undefined) throw missing('RotationInterval')
      else await kms.enableKeyRotation(context, id, body.RotationInterval)
      return {}
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>
