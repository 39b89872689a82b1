import * as sdk from '@aws-sdk/client-kms'
import { expect, it } from 'vitest'
import { AWS_FAULTS } from '../../../src/http/aws/errors.ts'
import { AWS_FAULT_NAMES } from '../../../src/http/aws/fault.ts'
import { AWS_OPERATIONS, operationName } from '../../../src/http/aws/operations.ts'

/** Names of errors that every AWS API has and no service model lists. */
const COMMON_FAULTS = [
  'AccessDeniedException',
  'ExpiredTokenException',
  'IncompleteSignatureException',
  'InvalidSignatureException',
  'MissingAuthenticationTokenException',
  'NotAuthorizedException',
  'RequestEntityTooLargeException',
  'SerializationException',
  'ThrottlingException',
  'UnknownOperationException',
  'UnrecognizedClientException',
  'ValidationException',
]

it('knows every operation of the SDK, and no other', () => {
  const model = Object.keys(sdk)
    .filter((name) => name.endsWith('Command') && name !== '$Command')
    .map((name) => name.slice(0, -'Command'.length))
  expect([...AWS_OPERATIONS.keys()].toSorted()).toEqual(model.toSorted())
})

it('takes X-Amz-Target in its one form', () => {
  expect(operationName('TrentService.Encrypt')).toBe('Encrypt')
  for (const target of [
    'Encrypt',
    'trentservice.Encrypt',
    'TrentService.encrypt',
    ['TrentService.Encrypt'],
    undefined,
  ]) {
    expect(operationName(target)).toBeUndefined()
  }
})

it('answers with errors that the SDK or every AWS API knows', () => {
  const modelled = AWS_FAULT_NAMES.filter((name) => !COMMON_FAULTS.includes(name))
  expect(Object.keys(sdk)).toEqual(expect.arrayContaining(modelled))
})

it('answers every fault of the caller with 400', () => {
  const statuses = new Set(Object.values(AWS_FAULTS).map(([, status]) => status))
  expect(statuses).toEqual(new Set([400, 500, 503]))
})
