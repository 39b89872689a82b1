import type { Operation } from '../lanes/messages.ts'
import { attach, detach } from './attach.ts'
import { checkHealth } from './check-health.ts'
import { connect, disconnect, finalizeLibrary } from './connect.ts'
import { createImportPair, destroyImportPair } from './create-import-pair.ts'
import { createKeyPair } from './create-key-pair.ts'
import { createMacKey } from './create-mac-key.ts'
import { createMasterKey } from './create-master-key.ts'
import { decryptRsa } from './decrypt-rsa.ts'
import { deriveSecret } from './derive-secret.ts'
import { destroyMasterKey } from './destroy-master-key.ts'
import { findMasterKey } from './find-master-key.ts'
import { generateRandom } from './generate-random.ts'
import { importMasterKey } from './import-master-key.ts'
import { mac } from './mac.ts'
import { open } from './open.ts'
import type { ProcedureRow } from './procedure.ts'
import { readMasterPublicKey } from './read-public-key.ts'
import { seal } from './seal.ts'
import { sealKeyPair } from './seal-key-pair.ts'
import { sealRandom } from './seal-random.ts'
import { sealRandomInside } from './seal-random-inside.ts'
import { sign } from './sign.ts'

/** Every procedure of a lane. A new operation fails the build until it has a row. */
export const PROCEDURES: Readonly<Record<Operation, ProcedureRow>> = {
  connect: { run: connect, repeatable: false },
  disconnect: { run: disconnect, repeatable: false },
  finalize: { run: finalizeLibrary, repeatable: false },
  attach: { run: attach, repeatable: false },
  detach: { run: detach, repeatable: false },
  checkHealth: { run: checkHealth, repeatable: true },
  sealRandom: { run: sealRandom, repeatable: true },
  seal: { run: seal, repeatable: true },
  sealRandomInside: { run: sealRandomInside, repeatable: true },
  sealKeyPair: { run: sealKeyPair, repeatable: true },
  open: { run: open, repeatable: true },
  generateRandom: { run: generateRandom, repeatable: true },
  sign: { run: sign, repeatable: true },
  decryptRsa: { run: decryptRsa, repeatable: true },
  mac: { run: mac, repeatable: true },
  deriveSecret: { run: deriveSecret, repeatable: true },
  createMasterKey: { run: createMasterKey, repeatable: false },
  createKeyPair: { run: createKeyPair, repeatable: false },
  createMacKey: { run: createMacKey, repeatable: false },
  readPublicKey: { run: readMasterPublicKey, repeatable: true },
  destroyMasterKey: { run: destroyMasterKey, repeatable: false },
  findMasterKey: { run: findMasterKey, repeatable: true },
  createImportPair: { run: createImportPair, repeatable: false },
  destroyImportPair: { run: destroyImportPair, repeatable: false },
  importMasterKey: { run: importMasterKey, repeatable: false },
}
