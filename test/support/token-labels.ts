import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as graphene from 'graphene-pk11'
import { findSofthsmModule } from '../../src/config/home.ts'

const SOFTHSM_MODULE = findSofthsmModule(process.env)

const byText = (a: string, b: string) => (a < b ? -1 : 1)

/**
 * Labels of the keys of a class that the token holds, secret keys unless told otherwise, in order. A C_GenerateKey that was cut off may leave SoftHSM an object
 * that is not whole: one without CKA_LOCAL, which it sets together with the value, holds no key.
 */
export function tokenLabels(home: string, keyClass = graphene.ObjectClass.SECRET_KEY): string[] {
  process.env['SOFTHSM2_CONF'] = join(home, 'softhsm2.conf')
  const module = graphene.Module.load(SOFTHSM_MODULE)
  module.initialize()
  try {
    const slots = module.getSlots(true)
    const slot = Array.from({ length: slots.length }, (_, i) => slots.items(i)).find(
      (candidate) => candidate.getToken().label.trimEnd() === 'p11kms',
    )
    if (!slot) throw new Error('no token')
    const session = slot.open(graphene.SessionFlag.SERIAL_SESSION)
    session.login(readFileSync(join(home, 'secrets/user-pin'), 'utf8').trim())
    const whole = keyClass === graphene.ObjectClass.SECRET_KEY ? { local: true } : {}
    const objects = session.find({ class: keyClass, ...whole })
    return Array.from({ length: objects.length }, (_, i) => objects.items(i).getAttribute('label')).toSorted(
      byText,
    )
  } finally {
    module.finalize()
  }
}
