import { isKmsError } from '../../core/errors.ts'
import type { CallOptions, MasterKeyRef } from '../../core/ports/crypto-provider.ts'
import { invariant } from '../../lib/invariant.ts'
import type { ObjectRole } from './object-names.ts'
import type { FoundMaterial } from './procedures/find-master-key.ts'

/**
 * Object handles of one version by role; good in every session of the process until the connection ends.
 *
 * @throws InvariantError for a role that the version has no object of.
 */
export type MaterialHandles = (role: ObjectRole) => Buffer

/** Versions whose handles are remembered; the oldest goes first. */
const HANDLES_MAX = 65_536

/** How one version is named in caches. */
export function refKey(ref: MasterKeyRef): string {
  const { keyId, versionId, importId } = ref
  return importId === undefined ? `${keyId}/${versionId}` : `${keyId}/${versionId}/${importId}`
}

/**
 * Handles by version, for one connection: nothing on a request's way searches the token once they are here. Searches
 * for one version share one answer.
 */
export class MaterialHandleCache {
  readonly #handles = new Map<string, MaterialHandles>()
  readonly #searches = new Map<string, Promise<MaterialHandles>>()
  readonly #search: (ref: MasterKeyRef, options: CallOptions) => Promise<MaterialHandles>

  readonly #timeout: () => Error

  /**
   * @param search - Looks the objects up in the token; throws where there is not exactly one of each.
   * @param timeout - What a caller gets whose deadline passes during a search.
   */
  constructor(
    search: (ref: MasterKeyRef, options: CallOptions) => Promise<MaterialHandles>,
    timeout: () => Error,
  ) {
    this.#search = search
    this.#timeout = timeout
  }

  get(ref: MasterKeyRef): MaterialHandles | undefined {
    return this.#handles.get(refKey(ref))
  }

  /** Ends by the caller's own deadline, whoever's search it waits for. */
  async find(ref: MasterKeyRef, options: CallOptions): Promise<MaterialHandles> {
    const search = this.#sharedSearch(ref, options)
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(this.#timeout()), Math.max(0, options.deadlineAt - Date.now()))
    try {
      return await Promise.race([search, late])
    } finally {
      clearTimeout(timer)
    }
  }

  #sharedSearch(ref: MasterKeyRef, options: CallOptions): Promise<MaterialHandles> {
    const key = refKey(ref)
    const running = this.#searches.get(key)
    if (running) return running.catch((error: unknown) => this.#findAfter(error, ref, options))
    const search = this.#search(ref, options)
      .then((handles) => {
        // A connection that ended meanwhile cleared the searches: these handles are of the past.
        if (this.#searches.get(key) === search) this.#put(key, handles)
        return handles
      })
      .finally(() => {
        if (this.#searches.get(key) === search) this.#searches.delete(key)
      })
    this.#searches.set(key, search)
    return search
  }

  /** The search was another caller's, and so was the deadline that ended it. */
  #findAfter(error: unknown, ref: MasterKeyRef, options: CallOptions): Promise<MaterialHandles> {
    if (!isKmsError(error, 'TOKEN_TIMEOUT') || Date.now() >= options.deadlineAt) throw error
    return this.#sharedSearch(ref, options)
  }

  /** Takes handles that another call learned, past a search that may have begun before them. */
  remember(ref: MasterKeyRef, handles: MaterialHandles): void {
    this.#searches.delete(refKey(ref))
    this.#put(refKey(ref), handles)
  }

  /** Drops the handles of one version; `stale` spares newer ones that another caller found meanwhile. */
  forget(ref: MasterKeyRef, stale?: MaterialHandles): void {
    const key = refKey(ref)
    if (stale === undefined || this.#handles.get(key) === stale) this.#handles.delete(key)
    if (stale === undefined) this.#searches.delete(key)
  }

  clear(): void {
    this.#handles.clear()
    this.#searches.clear()
  }

  #put(key: string, handles: MaterialHandles): void {
    const oldest = this.#handles.size >= HANDLES_MAX ? this.#handles.keys().next().value : undefined
    if (oldest !== undefined) this.#handles.delete(oldest)
    this.#handles.set(key, handles)
  }
}

/** The one object of each role; `undefined` where there is not exactly one of each. */
export function handlesOf({ objects }: FoundMaterial): MaterialHandles | undefined {
  if (objects.some(({ handles }) => handles.length !== 1)) return undefined
  const byRole = new Map(objects.map(({ role, handles }) => [role, Buffer.from(handles[0] ?? '', 'hex')]))
  return (role) => {
    const handle = byRole.get(role)
    invariant(handle, `an object of role ${role} is one of the version's`)
    return handle
  }
}
