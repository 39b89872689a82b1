import { z } from 'zod'
import { marker, ofPattern, wholly } from '../members.ts'
import { type AwsOperation, awsOperation, noCustomKeyStores } from '../operation.ts'

const storeId = z.string().min(1).max(64)
const storeName = z.string().min(1).max(256)
const onlyStoreId = z.object({ CustomKeyStoreId: storeId })

/** As the service model has them. */
const URI_PATH = String.raw`^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$`
const SECRET_ACCESS_KEY = String.raw`^[a-zA-Z0-9\/+=]+$`

/** What describes a store, with the limits of the service model. Nothing of it is kept, and no secret of it is ever shown. */
const description = {
  CloudHsmClusterId: z
    .string()
    .min(19)
    .max(24)
    .regex(wholly(/cluster-[2-7a-zA-Z]{11,16}/))
    .optional(),
  KeyStorePassword: z.string().min(7).max(32).optional(),
  XksProxyUriEndpoint: ofPattern(10, 128, '^https://[a-zA-Z0-9.-]+$').optional(),
  XksProxyUriPath: ofPattern(10, 128, URI_PATH).optional(),
  XksProxyVpcEndpointServiceName: z
    .string()
    .min(20)
    .max(64)
    .regex(/^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$/)
    .optional(),
  XksProxyVpcEndpointServiceOwner: z
    .string()
    .min(12)
    .max(12)
    .regex(wholly(/[0-9]{12}/))
    .optional(),
  XksProxyAuthenticationCredential: z
    .object({
      AccessKeyId: z
        .string()
        .min(20)
        .max(30)
        .regex(/^[A-Z2-7]+$/),
      RawSecretAccessKey: ofPattern(43, 64, SECRET_ACCESS_KEY),
    })
    .optional(),
  XksProxyConnectivity: z.enum(['PUBLIC_ENDPOINT', 'VPC_ENDPOINT_SERVICE']).optional(),
}

const createBody = z.object({
  CustomKeyStoreName: storeName,
  TrustAnchorCertificate: z.string().min(1).max(5000).optional(),
  CustomKeyStoreType: z.enum(['AWS_CLOUDHSM', 'EXTERNAL_KEY_STORE']).optional(),
  ...description,
})

const describeBody = z.object({
  CustomKeyStoreId: storeId.optional(),
  CustomKeyStoreName: storeName.optional(),
  Limit: z.int().min(1).max(1000).optional(),
  Marker: marker.optional(),
})

/** An operation whose input is checked, and which is refused then. */
function refused<Body>(name: string, body: z.ZodType<Body>): AwsOperation {
  return awsOperation({
    body,
    handle: async () => {
      throw noCustomKeyStores(name)
    },
  })
}

/** Custom key stores, of which this service has none: AWS KMS API Reference, one section per name. */
export const CUSTOM_KEY_STORE_OPERATIONS = {
  ConnectCustomKeyStore: refused('ConnectCustomKeyStore', onlyStoreId),
  CreateCustomKeyStore: refused('CreateCustomKeyStore', createBody),
  DeleteCustomKeyStore: refused('DeleteCustomKeyStore', onlyStoreId),
  DescribeCustomKeyStores: refused('DescribeCustomKeyStores', describeBody),
  DisconnectCustomKeyStore: refused('DisconnectCustomKeyStore', onlyStoreId),
  UpdateCustomKeyStore: refused(
    'UpdateCustomKeyStore',
    onlyStoreId.extend({ NewCustomKeyStoreName: storeName.optional(), ...description }),
  ),
} as const satisfies Readonly<Record<string, AwsOperation>>
