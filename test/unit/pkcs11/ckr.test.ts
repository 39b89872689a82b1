import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { CKR_NAMES, CKR_RULES } from '../../../src/providers/pkcs11/ckr.ts'
import {
  describeFault,
  faultOf,
  faultToKmsError,
  isCkr,
  Pkcs11Error,
  TokenRefusal,
  toFault,
} from '../../../src/providers/pkcs11/errors.ts'

/** What pkcs11js throws from most functions. */
function nativeError(name: string, code: number, method: string): Error {
  return Object.assign(new Error(name), { name: 'Pkcs11Error', code, method })
}

it('has a name for every rule and no name twice', () => {
  const names = Object.values(CKR_NAMES)
  expect(new Set(names).size).toBe(names.length)
  for (const name of Object.keys(CKR_RULES)) expect(names).toContain(name)
})

it('reads a return value out of both kinds of error that pkcs11js throws', () => {
  const native = faultOf(nativeError('CKR_DEVICE_REMOVED', 50, 'C_Encrypt'))
  expect(native).toEqual({ kind: 'cryptoki', function: 'C_Encrypt', name: 'CKR_DEVICE_REMOVED', number: 50 })
  expect(faultOf(new Error('CKR_OPERATION_NOT_INITIALIZED:145'))).toMatchObject({
    name: 'CKR_OPERATION_NOT_INITIALIZED',
    number: 145,
  })
})

it('names return values of v3, which pkcs11js calls CKR_VENDOR_DEFINED, by their number', () => {
  expect(faultOf(nativeError('CKR_VENDOR_DEFINED', 66, 'C_Decrypt')).name).toBe('CKR_AEAD_DECRYPT_FAILED')
  expect(faultOf(new Error('CKR_VENDOR_DEFINED:2147483649')).name).toBe('CKR_VENDOR_DEFINED')
  expect(faultOf(new Error('CKR_WHATEVER:999')).name).toBe('CKR_UNKNOWN')
})

it('takes an error without a return value for no known one, so that a mistake of ours breaks no connection', () => {
  const fault = faultOf(new TypeError('Argument 2 has wrong type'))
  expect(fault).toMatchObject({ name: 'CKR_UNKNOWN', number: 0 })
  expect(describeFault(fault)).toContain('without a return value')
  expect(toFault('a string')).toMatchObject({ name: 'CKR_UNKNOWN' })
  expect(isCkr(new Error('CKR_PIN_LOCKED:164'), 'CKR_PIN_LOCKED')).toBe(true)
})

it('survives the hop between threads as plain data', () => {
  const faults = [
    toFault(new Error('CKR_PIN_INCORRECT:160')),
    toFault(new TokenRefusal({ code: 'UNSUPPORTED', reason: 'no', hint: 'another token' })),
  ]
  expect(JSON.parse(JSON.stringify(faults))).toEqual(faults)
})

it('becomes a KmsError of the rule, with the return value and the hint in its cause alone', () => {
  const error = faultToKmsError('prod', toFault(nativeError('CKR_PIN_INCORRECT', 160, 'C_Login')))
  expect(error).toMatchObject({ code: 'TOKEN_UNAVAILABLE', details: { token: 'prod' } })
  expect(error.message).not.toContain('CKR')
  expect(error.cause).toBeInstanceOf(Pkcs11Error)
  expect(error.cause).toMatchObject({
    message: 'C_Login returned CKR_PIN_INCORRECT (0xa0)',
    token: 'prod',
    hint: expect.stringContaining('wrong'),
  })
})

it('has one message for every way in which a ciphertext fails', () => {
  const faults = [
    nativeError('CKR_ENCRYPTED_DATA_INVALID', 64, 'C_Decrypt'),
    nativeError('CKR_WRAPPED_KEY_INVALID', 272, 'C_UnwrapKey'),
    nativeError('CKR_VENDOR_DEFINED', 66, 'C_Decrypt'),
  ]
  const messages = faults.map((error) => faultToKmsError('prod', toFault(error)).message)
  const refusal = new TokenRefusal({ code: 'CIPHERTEXT_INVALID', reason: 'too short' })
  messages.push(faultToKmsError('prod', toFault(refusal)).message)
  expect(new Set(messages).size).toBe(1)
})

it('never blames a ciphertext where there is none', () => {
  const fault = toFault(nativeError('CKR_ENCRYPTED_DATA_INVALID', 64, 'C_Encrypt'))
  expect(faultToKmsError('prod', fault).code).toBe('TOKEN_UNAVAILABLE')
})

it('has a row for every return value of the header that pkcs11js is built with', () => {
  const header = new URL('../../../node_modules/pkcs11js/includes/pkcs11/pkcs11t.h', import.meta.url)
  const defined = readFileSync(header, 'utf8').matchAll(/#define (CKR_\w+)\s+(0x[0-9A-Fa-f]+)/g)
  const rows = [...defined].filter(([, name]) => name !== 'CKR_OK' && name !== 'CKR_VENDOR_DEFINED')
  expect(rows.length).toBeGreaterThan(85)
  for (const [, name, number] of rows) {
    expect([number, CKR_NAMES[Number(number)]]).toEqual([number, name])
    expect(CKR_RULES[name ?? '']).toMatchObject({ hint: expect.any(String) })
  }
})

it('says of an unknown return value that the token is unavailable', () => {
  const fault = toFault(new Error('CKR_WHATEVER:999'))
  expect(faultToKmsError('prod', fault).code).toBe('TOKEN_UNAVAILABLE')
  expect(describeFault(fault)).toContain('0x3e7')
})
