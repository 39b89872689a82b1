import * as graphene from 'graphene-pk11'
import pkcs11js from 'pkcs11js'
import type { LibraryReport } from '../../../core/inspection/token-report.ts'
import { finalize, initialize, trim } from '../module.ts'
import { announced } from './announced.ts'
import type { LibraryRequest } from './jobs.ts'

/** The library cannot be loaded; the message is the dynamic linker's. */
export class LoadError extends Error {
  override readonly name = 'LoadError'
}

/** A library that is initialized, in the two shapes that callers work with. */
export interface Library {
  /** Each call tells its name first. */
  readonly p11: pkcs11js.PKCS11
  readonly module: graphene.Module
  readonly report: LibraryReport
}

/**
 * Loads and initializes a library, and finalizes it afterwards. For a process of its own: every call is made in the
 * calling thread.
 *
 * @param announce - Told the name of each call before it is made.
 * @throws {@link LoadError}; what the library answers.
 */
export function withLibrary<T>(
  request: LibraryRequest,
  announce: (call: string) => void,
  use: (library: Library) => T,
): T {
  const raw = new pkcs11js.PKCS11()
  announce('dlopen')
  try {
    raw.load(request.path)
  } catch (error) {
    throw new LoadError(error instanceof Error ? error.message : String(error))
  }
  const p11 = announced(raw, announce)
  initialize(p11, request.libraryParameters)
  try {
    return use({ p11, module: new graphene.Module(p11), report: reportOf(p11, request.path) })
  } finally {
    finalize(p11)
  }
}

function reportOf(p11: pkcs11js.PKCS11, path: string): LibraryReport {
  const info = p11.C_GetInfo()
  return {
    path,
    manufacturer: trim(info.manufacturerID),
    description: trim(info.libraryDescription),
    version: versionText(info.libraryVersion),
    cryptokiVersion: versionText(info.cryptokiVersion),
  }
}

/** `major.minor` of a CK_VERSION. */
export function versionText({ major, minor }: pkcs11js.Version): string {
  return `${major}.${minor}`
}
