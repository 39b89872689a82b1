import { statSync } from 'node:fs'
import type { DoctorOptions } from './cli/commands/doctor.ts'
import type { Config } from './config/schema.ts'
import { readSecret, SecretError } from './config/secrets.ts'
import { criteriaOf, environmentOf, libraryRequest, type NamedToken } from './configured-tokens.ts'
import type { Check, CheckGroup, Tell } from './core/inspection/doctor-report.ts'
import { InspectionError } from './providers/pkcs11/inspect/inspection-error.ts'
import { inspect } from './providers/pkcs11/inspect/inspector.ts'
import type { Examination } from './providers/pkcs11/inspect/jobs.ts'
import { checkModuleFile, checkModuleSettings } from './providers/pkcs11/inspect/module-file.ts'

const READABLE_BY_OTHERS = 0o044

/** One configured token, from the file of its library to what works when it is tried. */
export async function checkToken(
  config: Config,
  token: NamedToken,
  options: DoctorOptions,
): Promise<CheckGroup> {
  const checks: Check[] = []
  const tell: Tell = (check) => checks.push(check)
  const examination = await examineInto(tell, config, token, options)
  return { group: 'token', token: token.name, checks, ...examination }
}

async function examineInto(
  tell: Tell,
  config: Config,
  token: NamedToken,
  options: DoctorOptions,
): Promise<Examination> {
  const file = checkModuleFile(token.module)
  tell(file)
  const environment = environmentOf(config)
  const settings = checkModuleSettings(token.module, { ...process.env, ...environment })
  if (settings) tell(settings)
  const pin = readPin(token, tell)
  if (file.state === 'fail') return {}
  try {
    return await inspect(
      'examineToken',
      {
        ...libraryRequest(token.module, token.libraryParameters),
        ...(token.userType !== 'user' && { userType: token.userType }),
        criteria: criteriaOf(token),
        lanes: token.lanes,
        allowHostMemory: token.allowHostMemory,
        full: options.full === true,
      },
      { environment, callTimeoutMs: callTimeoutMs(token, options), pin, onCheck: tell },
    )
  } catch (error) {
    if (!(error instanceof InspectionError)) throw error
    const { reason, next = 'Look the return value up in the manual of the token.' } = error.problem
    tell({ state: 'fail', code: 'LIBRARY', message: reason, next })
    return {}
  } finally {
    pin.fill(0)
  }
}

/** A key pair takes longer than any other call. */
function callTimeoutMs({ pairTimeoutMs }: NamedToken, { timeout, full }: DoctorOptions): number {
  return full ? Math.max(timeout * 1000, pairTimeoutMs) : timeout * 1000
}

/** @returns No bytes where the PIN cannot be read: what needs no login is looked at all the same. */
function readPin({ pin: source }: NamedToken, tell: Tell): Buffer {
  try {
    const pin = readSecret(source)
    tell(sourceCheck(source.file))
    return pin
  } catch (error) {
    if (!(error instanceof SecretError)) throw error
    const next =
      source.file === undefined
        ? 'Run this where the PIN is: with the environment or the descriptors of the service.'
        : 'Write the PIN into that file, owned by the user that runs p11kms and with mode 0600, or correct tokens[].pin.'
    tell({ state: 'fail', code: 'PIN_SOURCE', message: error.message, next })
    return Buffer.alloc(0)
  }
}

function sourceCheck(file: string | undefined): Check {
  if (file === undefined || (statSync(file).mode & READABLE_BY_OTHERS) === 0)
    return { state: 'ok', code: 'PIN_SOURCE', message: 'the PIN can be read' }
  const message = `the PIN file ${file} can be read by other users`
  return { state: 'warn', code: 'PIN_SOURCE', message, next: `chmod 600 ${file}` }
}
