import { describe, expect, it } from 'vitest'
import { OPENAPI_FAULTS } from '../../../src/http/alibaba/openapi/errors.ts'
import { OPENAPI_FAULT_CODES } from '../../../src/http/alibaba/openapi/fault.ts'
import {
  OPENAPI_OPERATIONS,
  UNSUPPORTED_OPENAPI_OPERATIONS,
} from '../../../src/http/alibaba/openapi/operations.ts'

/** Every operation of the API's version 2016-01-20, as the newest SDKs have them. */
const ALL = `
  AsymmetricDecrypt AsymmetricEncrypt AsymmetricSign AsymmetricVerify
  BatchGetSecretValue CancelKeyDeletion ConnectKmsInstance CreateAlias
  CreateApplicationAccessPoint CreateClientKey CreateKey CreateKeyVersion
  CreateNetworkRule CreatePolicy CreateSecret Decrypt
  DeleteAlias DeleteApplicationAccessPoint DeleteClientKey DeleteKeyMaterial
  DeleteNetworkRule DeletePolicy DeleteSecret DescribeAccountKmsStatus
  DescribeApplicationAccessPoint DescribeKey DescribeKeyVersion DescribeNetworkRule
  DescribePolicy DescribeRegions DescribeSecret DisableKey
  EnableKey Encrypt ExportDataKey GenerateAndExportDataKey
  GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateMac GetClientKey
  GetDefaultKmsInstance GetKeyPolicy GetKmsInstance GetKmsInstanceQuotaInfos
  GetManagedDataKey GetParametersForImport GetPublicKey GetRandomPassword
  GetSecretPolicy GetSecretValue ImportKeyMaterial ListAliases
  ListAliasesByKeyId ListApplicationAccessPoints ListClientKeys ListKeyVersions
  ListKeys ListKmsInstances ListManagedDataKeyVersions ListNetworkRules
  ListPolicies ListResourceTags ListSecretVersionIds ListSecrets
  ListTagResources OpenKmsService PutSecretValue ReEncrypt
  ReleaseKmsInstance RestoreSecret RotateSecret ScheduleKeyDeletion
  SetDeletionProtection SetKeyPolicy SetSecretPolicy TagResource
  TagResources UntagResource UntagResources UpdateAlias
  UpdateApplicationAccessPoint UpdateKeyDescription UpdateKmsInstanceBindVpc UpdateNetworkRule
  UpdatePolicy UpdateRotationPolicy UpdateSecret UpdateSecretRotationPolicy
  UpdateSecretVersionStage VerifyMac
`
  .trim()
  .split(/\s+/)

describe('the table of operations', () => {
  it('has every operation of the API, carried out or refused by name', () => {
    const rows = [...OPENAPI_OPERATIONS.keys(), ...UNSUPPORTED_OPENAPI_OPERATIONS]
    expect(rows.toSorted()).toEqual(ALL)
    expect(new Set(rows).size).toBe(90)
  })

  it('answers domain errors with codes that are declared, and statuses that clients expect', () => {
    for (const [code, status] of Object.values(OPENAPI_FAULTS)) {
      expect(OPENAPI_FAULT_CODES).toContain(code)
      expect([400, 403, 404, 409, 429, 503]).toContain(status)
    }
  })
})
