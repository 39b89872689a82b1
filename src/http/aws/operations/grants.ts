import { z } from 'zod'
import type { Grant } from '../../../core/grant.ts'
import {
  type GrantPrincipal,
  type GrantTerms,
  GRANT_OPERATIONS as OPERATION_NAMES,
} from '../../../core/grant.ts'
import type { RetiredGrant } from '../../../core/ops/grants.ts'
import type { Page } from '../../../core/ops/list-keys.ts'
import { validation } from '../fault.ts'
import { parseManagedKeyId } from '../key-names.ts'
import { encodeMarker, parseMarker } from '../markers.ts'
import {
  boundedArray,
  dryRun,
  encryptionContext,
  grantToken,
  grantTokens,
  keyId,
  marker,
  principalName,
} from '../members.ts'
import { type AwsOperation, awsOperation } from '../operation.ts'
import { type ArnScope, grantListEntry } from '../wire.ts'

const LIST_GRANTS_LIMIT = { max: 100, default: 50 } as const
/** More than there are, so that one may be named twice. */
const OPERATIONS_MAX = 100

const grantId = z.string().min(1).max(128)
const listing = {
  Limit: z.int().min(1).max(LIST_GRANTS_LIMIT.max).optional(),
  Marker: marker.optional(),
}

const createGrantBody = z.object({
  KeyId: keyId,
  GranteePrincipal: principalName.optional(),
  RetiringPrincipal: principalName.optional(),
  Operations: boundedArray(z.enum(OPERATION_NAMES), OPERATIONS_MAX),
  Constraints: z
    .object({
      EncryptionContextSubset: encryptionContext.optional(),
      EncryptionContextEquals: encryptionContext.optional(),
      SourceArn: z.string().min(1).max(2048).optional(),
    })
    .optional(),
  GrantTokens: grantTokens.optional(),
  Name: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[a-zA-Z0-9:/_-]+$/)
    .optional(),
  DryRun: dryRun.optional(),
  GranteeServicePrincipal: principalName.optional(),
  RetiringServicePrincipal: principalName.optional(),
})

/** Grants: AWS KMS API Reference, one section per name. */
export const GRANT_OPERATIONS = {
  CreateGrant: awsOperation({
    body: createGrantBody,
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      const { grantId: GrantId, token } = await kms.createGrant(context, id, termsOf(body))
      return { GrantToken: token, GrantId }
    },
  }),

  ListGrants: awsOperation({
    body: z.object({
      KeyId: keyId,
      GrantId: grantId.optional(),
      GranteePrincipal: principalName.optional(),
      GranteeServicePrincipal: principalName.optional(),
      ...listing,
    }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      const grantee = onePrincipal('Grantee', body.GranteePrincipal, body.GranteeServicePrincipal)
      const pages = `ListGrants/${id}/${body.GrantId ?? ''}/${grantee?.kind ?? ''}/${grantee?.name ?? ''}`
      const page = await kms.listGrants(context, id, {
        grantId: body.GrantId,
        grantee,
        ...pageOf(scope, pages, body),
      })
      return grantsPage(scope, pages, page)
    },
  }),

  ListRetirableGrants: awsOperation({
    body: z.object({
      RetiringPrincipal: principalName.optional(),
      RetiringServicePrincipal: principalName.optional(),
      ...listing,
    }),
    handle: async ({ kms, context, scope }, body) => {
      const retiring = onePrincipal('Retiring', body.RetiringPrincipal, body.RetiringServicePrincipal)
      if (!retiring) throw validation('You must specify a RetiringPrincipal or a RetiringServicePrincipal.')
      const pages = `ListRetirableGrants/${retiring.kind}/${retiring.name}`
      const page = await kms.listRetirableGrants(context, retiring, pageOf(scope, pages, body))
      return grantsPage(scope, pages, page)
    },
  }),

  RetireGrant: awsOperation({
    body: z.object({
      GrantToken: grantToken.optional(),
      KeyId: keyId.optional(),
      GrantId: grantId.optional(),
      DryRun: dryRun.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      await kms.retireGrant(context, retiredGrant(scope, body))
      return undefined
    },
  }),

  RevokeGrant: awsOperation({
    body: z.object({ KeyId: keyId, GrantId: grantId, DryRun: dryRun.optional() }),
    handle: async ({ kms, context, scope }, body) => {
      await kms.revokeGrant(context, parseManagedKeyId(scope, body.KeyId), body.GrantId)
      return undefined
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>

function termsOf(body: z.output<typeof createGrantBody>): GrantTerms {
  const grantee = onePrincipal('Grantee', body.GranteePrincipal, body.GranteeServicePrincipal)
  if (!grantee) throw validation('You must specify a GranteePrincipal or a GranteeServicePrincipal.')
  const retiring = onePrincipal('Retiring', body.RetiringPrincipal, body.RetiringServicePrincipal)
  const { EncryptionContextSubset, EncryptionContextEquals, SourceArn } = body.Constraints ?? {}
  const constraints = {
    ...(EncryptionContextSubset && { encryptionContextSubset: EncryptionContextSubset }),
    ...(EncryptionContextEquals && { encryptionContextEquals: EncryptionContextEquals }),
    ...(SourceArn !== undefined && { sourceArn: SourceArn }),
  }
  return {
    grantee,
    ...(retiring && { retiring }),
    operations: [...new Set(body.Operations)].toSorted(),
    ...(Object.keys(constraints).length > 0 && { constraints }),
    ...(body.Name !== undefined && { name: body.Name }),
  }
}

/** Of somebody and a service one is named, or none. */
function onePrincipal(
  role: 'Grantee' | 'Retiring',
  arn: string | undefined,
  service: string | undefined,
): GrantPrincipal | undefined {
  if (arn !== undefined && service !== undefined)
    throw validation(`You cannot specify both ${role}Principal and ${role}ServicePrincipal.`)
  if (arn !== undefined) return { kind: 'arn', name: arn }
  return service === undefined ? undefined : { kind: 'service', name: service }
}

function retiredGrant(
  scope: ArnScope,
  body: { GrantToken?: string | undefined; KeyId?: string | undefined; GrantId?: string | undefined },
): RetiredGrant {
  const { GrantToken, KeyId, GrantId } = body
  if (GrantToken !== undefined && KeyId === undefined && GrantId === undefined) return { token: GrantToken }
  if (GrantToken !== undefined || KeyId === undefined || GrantId === undefined)
    throw validation('You must specify either a GrantToken, or a KeyId and a GrantId.')
  return { keyId: parseManagedKeyId(scope, KeyId), grantId: GrantId }
}

function pageOf(
  scope: ArnScope,
  pages: string,
  body: { Limit?: number | undefined; Marker?: string | undefined },
) {
  return {
    limit: body.Limit ?? LIST_GRANTS_LIMIT.default,
    after: body.Marker === undefined ? undefined : parseMarker(scope, pages, body.Marker),
  }
}

function grantsPage(scope: ArnScope, pages: string, { rows, next }: Page<Grant>): object {
  const Grants = rows.map((grant) => grantListEntry(scope, grant))
  if (next === undefined) return { Grants, Truncated: false }
  return { Grants, Truncated: true, NextMarker: encodeMarker(scope, pages, next) }
}
