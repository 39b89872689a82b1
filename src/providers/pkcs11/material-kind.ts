import type { ImportWay } from './import-pair-objects.ts'
import type { LaneToken } from './lane-token.ts'
import type { Handle } from './module.ts'
import type { MaterialName, ObjectRole } from './object-names.ts'
import type { Attribute } from './templates.ts'

/**
 * Makes an object from a template and the material at hand: C_UnwrapKey of what was wrapped where it stays in the token, C_CreateObject
 * where it came through host memory.
 */
export type MakeObject = (template: Attribute[]) => Handle

/** What may be known of material that was looked at. */
export interface Examined {
  /** SubjectPublicKeyInfo of a key pair. */
  readonly spki?: Buffer
}

/** Material in host memory, as C_CreateObject takes it. */
export interface HostMaterial extends Examined {
  /** Views into the material: zeroed with it. */
  readonly values: readonly Attribute[]
}

/** Material at hand, however it came. */
export interface MaterialSource extends Examined {
  readonly name: MaterialName
  readonly way: ImportWay
  readonly make: MakeObject
}

/** One kind of material that owners bring. */
export interface MaterialKind {
  /** Material of nobody's, as its owner would wrap it: what proves that a token takes such material. */
  nobody(name: MaterialName): Buffer

  /**
   * Reads material in host memory.
   *
   * @param material - Untrusted.
   * @throws {@link TokenRefusal} `CIPHERTEXT_INVALID` when it is none of the spec.
   */
  read(name: MaterialName, material: Buffer): HostMaterial

  /**
   * Looks at material, and uses it, with objects that are gone when it returns.
   *
   * @throws {@link TokenRefusal} `CIPHERTEXT_INVALID` when it is none of the spec; `UNSUPPORTED` when the token does not tell, which
   *   its answer to such material may mean as well; what the token answered.
   */
  examine(token: LaneToken, source: MaterialSource): Examined

  /** Whether what the token has is `material`, which is of nobody's. */
  isSame(token: LaneToken, source: MaterialSource, material: Buffer): boolean

  /**
   * Makes the objects of a version, reads them back and uses each.
   *
   * @returns What was made, whose attributes are as they must be; nothing is left when it throws.
   */
  create(token: LaneToken, source: MaterialSource): readonly (readonly [role: ObjectRole, handle: Handle])[]
}
