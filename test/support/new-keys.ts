import { describe } from 'vitest'
import { describeWith, SOFTHSM_MODULE } from './softhsm.ts'

/** Whether the OpenSSL of this Node knows ML-DSA: 3.5 or later, which Node 24 and the later releases of Node 22 have. */
export const OPENSSL_KNOWS_ML_DSA = atLeast(process.versions.openssl, [3, 5])
/** Whether Node itself knows its names: to make keys, and to tell the kind of one. */
export const NODE_NAMES_ML_DSA = OPENSSL_KNOWS_ML_DSA && atLeast(process.versions.node, [24, 7])
const OUGHT_TO_KNOW = atLeast(process.versions.node, [24, 0])

/**
 * Rules of p11chaos that make SoftHSM a token that knows ML-DSA, with its signatures of a given µ, and Ed25519ph of digests. It
 * borrows Node's OpenSSL.
 */
export const NEW_KEYS = ['ml-dsa external-mu', 'ed25519ph of-digests'] as const

/** `describe` for what needs {@link NEW_KEYS}; skipped, with the reason in its title, where Node's OpenSSL is too old for them. */
export function describeNewKeys(title: string, suite: () => void): void {
  if (OPENSSL_KNOWS_ML_DSA || (OUGHT_TO_KNOW && process.env['REQUIRE_ALL'] === '1'))
    describeWith([SOFTHSM_MODULE], title, suite)
  else
    describe.skip(`${title} (skipped: OpenSSL ${process.versions.openssl} of this Node has no ML-DSA)`, suite)
}

function atLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [ours = 0, oursMinor = 0] = version.split('.').map(Number)
  return ours > major || (ours === major && oursMinor >= minor)
}
