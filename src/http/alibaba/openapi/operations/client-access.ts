import { z } from 'zod'
import {
  type AccessPoint,
  type AccessPolicy,
  type ClientKey,
  USER_PERMISSION,
} from '../../../../core/client-key.ts'
import { isKeyId } from '../../../../core/key.ts'
import { isPlainObject, page, pageOf, parseJson } from '../members.ts'
import { type AcsScope, type OpenApiOperation, openApiOperation } from '../operation.ts'
import { toUtc, utc } from '../timestamp.ts'

const AUTHENTICATION_METHOD = 'ClientKey'
const KEY_ALGORITHM = 'RSA_2048'
const SECRET_USER_PERMISSION = 'RbacPermission/Template/CryptoServiceSecretUser'

const entryName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/)
const clientKeyId = z.string().regex(/^KAAP\.[A-Za-z0-9_-]{1,64}$/)
const description = z.string().max(8192)

/** The JSON text of a list of 1 to `max` different texts, each of which `accepts`. */
function list(max: number, accepts: (text: string) => boolean): z.ZodType<readonly string[]> {
  return z.string().transform((json, context) => {
    const value = parseJson(json)
    const texts = Array.isArray(value) && value.length >= 1 && value.length <= max ? value : undefined
    if (texts?.every((text): text is string => typeof text === 'string' && accepts(text))) {
      return [...new Set(texts)]
    }
    context.issues.push({ code: 'custom', input: undefined })
    return z.NEVER
  })
}

const policyNames = list(3, (text) => entryName.safeParse(text).success)
const permissions = list(2, (text) => text === USER_PERMISSION || text === SECRET_USER_PERMISSION)
const resources = list(30, isResource)

/** There are no secrets here: what a policy says of them allows nothing, and is kept. */
function isResource(text: string): boolean {
  const [kind, name = ''] = text.split('/', 2)
  if (text.length > 256) return false
  if (kind === 'secret') return name !== ''
  return kind === 'key' && (name === '*' || isKeyId(name)) && text === `key/${name}`
}

/** Network rules would not be enforced, and a rule that is kept and not enforced is worse than none. */
const accessControlRules = z.string().transform((json, context) => {
  const value = parseJson(json)
  const { NetworkRules: rules = [] } = isPlainObject(value) ? value : { NetworkRules: undefined }
  if (isPlainObject(value) && Array.isArray(rules) && rules.length === 0) return json
  const params =
    isPlainObject(value) && Array.isArray(rules) ? { unsupported: 'A policy has no network rules.' } : {}
  context.issues.push({ code: 'custom', input: undefined, params })
  return z.NEVER
})

/** Who may use the instance API: access points, their policies and client keys. */
export const CLIENT_ACCESS_OPERATIONS = {
  CreatePolicy: openApiOperation({
    parameters: z.object({
      Name: entryName,
      Description: description.optional(),
      Permissions: permissions,
      Resources: resources,
      AccessControlRules: accessControlRules.optional(),
      KmsInstance: z.string().max(64).optional(),
    }),
    handle: async ({ clients, context, scope }, body) => {
      const policy = await clients.createPolicy(context, {
        name: body.Name,
        description: body.Description ?? '',
        permissions: body.Permissions,
        resources: body.Resources,
        ...(body.KmsInstance !== undefined && { instance: body.KmsInstance }),
      })
      const lists = {
        Permissions: JSON.stringify(policy.permissions),
        Resources: JSON.stringify(policy.resources),
      }
      return { ...policyMembers(scope, policy), ...lists }
    },
  }),

  DescribePolicy: openApiOperation({
    parameters: z.object({ Name: entryName }),
    handle: async ({ clients, context, scope }, { Name }) => {
      const policy = await clients.getPolicy(context, Name)
      const lists = { Permissions: policy.permissions, Resources: policy.resources }
      return { ...policyMembers(scope, policy), ...lists }
    },
  }),

  ListPolicies: openApiOperation({
    parameters: z.object(page),
    handle: async ({ clients, context }, body) => {
      const { rows, counts } = pageOf(await clients.listPolicies(context), body)
      return { Policies: { Policy: rows.map(({ name }) => ({ Name: name })) }, ...counts }
    },
  }),

  UpdatePolicy: openApiOperation({
    parameters: z.object({
      Name: entryName,
      Description: description.optional(),
      Permissions: permissions.optional(),
      Resources: resources.optional(),
      AccessControlRules: accessControlRules.optional(),
    }),
    emptyMeans: ['Description'],
    handle: async ({ clients, context }, body) => {
      await clients.updatePolicy(context, {
        name: body.Name,
        description: body.Description,
        permissions: body.Permissions,
        resources: body.Resources,
      })
      return {}
    },
  }),

  DeletePolicy: openApiOperation({
    parameters: z.object({ Name: entryName }),
    handle: async ({ clients, context }, { Name }) => {
      await clients.deletePolicy(context, Name)
      return {}
    },
  }),

  CreateApplicationAccessPoint: openApiOperation({
    parameters: z.object({
      Name: entryName,
      AuthenticationMethod: z.literal(AUTHENTICATION_METHOD).optional(),
      Description: description.optional(),
      Policies: policyNames,
    }),
    handle: async ({ clients, context, scope }, body) => {
      const input = { name: body.Name, description: body.Description ?? '', policies: body.Policies }
      return pointMembers(scope, await clients.createPoint(context, input))
    },
  }),

  DescribeApplicationAccessPoint: openApiOperation({
    parameters: z.object({ Name: entryName }),
    handle: async ({ clients, context, scope }, { Name }) =>
      pointMembers(scope, await clients.getPoint(context, Name)),
  }),

  ListApplicationAccessPoints: openApiOperation({
    parameters: z.object(page),
    handle: async ({ clients, context }, body) => {
      const { rows, counts } = pageOf(await clients.listPoints(context), body)
      const points = rows.map(({ name }) => ({ Name: name, AuthenticationMethod: AUTHENTICATION_METHOD }))
      return { ApplicationAccessPoints: { ApplicationAccessPoint: points }, ...counts }
    },
  }),

  UpdateApplicationAccessPoint: openApiOperation({
    parameters: z.object({
      Name: entryName,
      Description: description.optional(),
      Policies: policyNames.optional(),
    }),
    emptyMeans: ['Description'],
    handle: async ({ clients, context }, body) => {
      const { Name: name, Policies: policies } = body
      await clients.updatePoint(context, { name, description: body.Description, policies })
      return {}
    },
  }),

  DeleteApplicationAccessPoint: openApiOperation({
    parameters: z.object({ Name: entryName }),
    handle: async ({ clients, context }, { Name }) => {
      await clients.deletePoint(context, Name)
      return {}
    },
  }),

  CreateClientKey: openApiOperation({
    parameters: z.object({
      AapName: entryName,
      Password: z.string().max(64),
      NotBefore: utc.optional(),
      NotAfter: utc.optional(),
    }),
    handle: async ({ clients, context }, body) => {
      const { clientKey, pkcs12 } = await clients.createClientKey(context, {
        accessPoint: body.AapName,
        password: body.Password,
        notBefore: body.NotBefore,
        notAfter: body.NotAfter,
      })
      return {
        ClientKeyId: clientKey.clientKeyId,
        KeyAlgorithm: KEY_ALGORITHM,
        NotBefore: toUtc(clientKey.notBefore),
        NotAfter: toUtc(clientKey.notAfter),
        PrivateKeyData: pkcs12.toString('base64'),
      }
    },
  }),

  GetClientKey: openApiOperation({
    parameters: z.object({ ClientKeyId: clientKeyId }),
    handle: async ({ clients, context }, body) =>
      clientKeyMembers(await clients.getClientKey(context, body.ClientKeyId)),
  }),

  ListClientKeys: openApiOperation({
    parameters: z.object({ AapName: entryName }),
    handle: async ({ clients, context }, { AapName }) => {
      const keys = await clients.listClientKeys(context, AapName)
      return { ClientKeys: keys.map(clientKeyMembers) }
    },
  }),

  DeleteClientKey: openApiOperation({
    parameters: z.object({ ClientKeyId: clientKeyId }),
    handle: async ({ clients, context }, body) => {
      await clients.deleteClientKey(context, body.ClientKeyId)
      return {}
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>

function policyMembers({ region, uid }: AcsScope, policy: AccessPolicy) {
  return {
    Name: policy.name,
    Arn: `acs:kms:${region}:${uid}:policy/${policy.name}`,
    Description: policy.description,
    AccessControlRules: '{"NetworkRules":[]}',
    KmsInstance: policy.instance ?? '',
  }
}

function pointMembers({ region, uid }: AcsScope, point: AccessPoint) {
  return {
    Name: point.name,
    Arn: `acs:kms:${region}:${uid}:applicationaccesspoint/${point.name}`,
    AuthenticationMethod: AUTHENTICATION_METHOD,
    Description: point.description,
    Policies: JSON.stringify(point.policies),
  }
}

function clientKeyMembers(key: ClientKey) {
  return {
    ClientKeyId: key.clientKeyId,
    AapName: key.accessPoint,
    KeyAlgorithm: KEY_ALGORITHM,
    KeyOrigin: 'KMS_PROVIDED',
    PublicKeyData: key.publicKey.toString('base64'),
    CreateTime: toUtc(key.createdAt),
    NotBefore: toUtc(key.notBefore),
    NotAfter: toUtc(key.notAfter),
  }
}
