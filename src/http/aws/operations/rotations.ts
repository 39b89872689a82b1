import { z } from 'zod'
import type { KeyVersion, MasterKey } from '../../../core/key.ts'
import { keyMaterialId } from '../../../core/material-id.ts'
import { AwsFault } from '../fault.ts'
import { parseManagedKeyId } from '../key-names.ts'
import { encodeMarker, parseMarker } from '../markers.ts'
import { keyId, marker } from '../members.ts'
import { type AwsOperation, awsOperation } from '../operation.ts'
import { expirationOf, keyArn, toTimestamp } from '../wire.ts'

const PERIOD_DAYS = { min: 90, max: 2560, default: 365 } as const
const LIST_ROTATIONS_LIMIT = { max: 1000, default: 100 } as const

const onlyKeyId = z.object({ KeyId: keyId })

/** The rotation of keys: AWS KMS API Reference, one section per name. */
export const ROTATION_OPERATIONS = {
  EnableKeyRotation: awsOperation({
    body: onlyKeyId.extend({
      RotationPeriodInDays: z.int().min(PERIOD_DAYS.min).max(PERIOD_DAYS.max).optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const days = body.RotationPeriodInDays ?? PERIOD_DAYS.default
      await kms.enableKeyRotation(context, parseManagedKeyId(scope, body.KeyId), days)
      return undefined
    },
  }),

  DisableKeyRotation: awsOperation({
    body: onlyKeyId,
    handle: async ({ kms, context, scope }, body) => {
      await kms.disableKeyRotation(context, parseManagedKeyId(scope, body.KeyId))
      return undefined
    },
  }),

  GetKeyRotationStatus: awsOperation({
    body: onlyKeyId,
    handle: async ({ kms, context, scope }, body) => {
      const status = await kms.getKeyRotationStatus(context, parseManagedKeyId(scope, body.KeyId))
      const { key, enabled, periodDays, nextAt, onDemandSince } = status
      return {
        KeyId: keyArn(scope, key.keyId),
        KeyRotationEnabled: enabled,
        ...(periodDays === undefined ? {} : { RotationPeriodInDays: periodDays }),
        ...(nextAt === undefined ? {} : { NextRotationDate: toTimestamp(nextAt) }),
        ...(onDemandSince === undefined ? {} : { OnDemandRotationStartDate: toTimestamp(onDemandSince) }),
      }
    },
  }),

  RotateKeyOnDemand: awsOperation({
    body: onlyKeyId,
    handle: async ({ kms, context, scope }, body) => {
      const key = await kms.rotateKeyOnDemand(context, parseManagedKeyId(scope, body.KeyId))
      return { KeyId: keyArn(scope, key.keyId) }
    },
  }),

  ListKeyRotations: awsOperation({
    body: onlyKeyId.extend({
      IncludeKeyMaterial: z.enum(['ALL_KEY_MATERIAL', 'ROTATIONS_ONLY']).optional(),
      Limit: z.int().min(1).max(LIST_ROTATIONS_LIMIT.max).optional(),
      Marker: marker.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      const include = body.IncludeKeyMaterial ?? 'ROTATIONS_ONLY'
      const listing = `ListKeyRotations/${id}/${include}`
      const { key, rows, next } = await kms.listKeyRotations(context, id, {
        all: include === 'ALL_KEY_MATERIAL',
        limit: body.Limit ?? LIST_ROTATIONS_LIMIT.default,
        after:
          body.Marker === undefined ? undefined : requireNumber(parseMarker(scope, listing, body.Marker)),
      })
      const Rotations = rows.map((version) => rotationsListEntry(key, version))
      if (next === undefined) return { Rotations, Truncated: false }
      return { Rotations, Truncated: true, NextMarker: encodeMarker(scope, listing, next) }
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>

/** Markers can be forged: one that names no version is refused. */
function requireNumber(after: string): string {
  if (/^[1-9]\d{0,8}$/.test(after)) return after
  throw new AwsFault('InvalidMarkerException', 'The marker is not valid for this request.')
}

/** `RotationsListEntry` (AWS KMS API Reference). */
function rotationsListEntry(key: MasterKey, version: KeyVersion): object {
  const { rotation, imported, number } = version
  const current = key.versions.find(({ versionId }) => versionId === key.primaryVersionId)?.number ?? 0
  return {
    KeyId: key.keyId,
    KeyMaterialId: keyMaterialId(version),
    KeyMaterialState: number === current ? 'CURRENT' : number < current ? 'NON_CURRENT' : 'PENDING_ROTATION',
    ...(imported && { ImportState: imported.state === 'Imported' ? 'IMPORTED' : 'PENDING_IMPORT' }),
    ...(imported?.description && { KeyMaterialDescription: imported.description }),
    ...expirationOf(version),
    ...(rotation && { RotationDate: toTimestamp(rotation.at), RotationType: rotation.type }),
  }
}
