import type { TokenDescription } from './settings.ts'
import type { CKA } from './templates.ts'

/** Where a token departs from the standard in a way that trying cannot tell from a fault. */
export interface TokenQuirks {
  /** Attributes that a key made in the token does not read back as the standard says. */
  readonly waives: readonly (keyof typeof CKA)[]
  /**
   * Session objects after which the library is initialized anew, where it keeps memory of each until C_Finalize; absent where
   * it lets go of them.
   */
  readonly sessionObjectsMax?: number
}

interface QuirkRow extends TokenQuirks {
  /** Exactly what the token says of itself (CK_TOKEN_INFO): a waiver never meets another token by likeness. */
  readonly manufacturer: string
  readonly model: string
  /** Where that was read or seen. */
  readonly source: string
}

/**
 * What can be found out by trying is found out by trying (`probe.ts`): who chooses IVs, what a key wrap makes, templates,
 * bounds. This table is for the rest, and a row takes effect only where the probe sees the same.
 */
const QUIRKS: readonly QuirkRow[] = [
  {
    manufacturer: 'Mozilla Foundation',
    model: 'NSS 3',
    source: 'Seen on NSS 3.87: C_GenerateKey leaves CKA_LOCAL false, on session and token objects alike.',
    waives: ['LOCAL'],
  },
  {
    manufacturer: 'SoftHSM project',
    model: 'SoftHSM v2',
    source:
      'SoftHSM 2.6.1, SessionObjectStore.cpp: destroyed objects stay in `allObjects` until C_Finalize. Measured: about 230 bytes each.',
    waives: [],
    sessionObjectsMax: 50_000,
  },
]

/** The departures of one token; none for a token without a row. */
export function quirksOf({ manufacturer, model }: TokenDescription): TokenQuirks {
  const row = QUIRKS.find((quirk) => quirk.manufacturer === manufacturer && quirk.model === model)
  const { waives = [], sessionObjectsMax } = row ?? {}
  return { waives, ...(sessionObjectsMax === undefined ? {} : { sessionObjectsMax }) }
}
