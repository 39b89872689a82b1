import { randomUUID } from 'node:crypto'
import { ClientAccess } from '../../src/core/client-access.ts'
import { type ClientCredential, ClientKeyDirectory } from '../../src/core/client-key-directory.ts'
import { InFlightLimit } from '../../src/core/in-flight-limit.ts'
import type { ClientKeyIssuer } from '../../src/core/ports/client-key-issuer.ts'
import { Pkcs12Issuer } from '../../src/providers/client-keys/issuer.ts'
import { MemoryAccessStore } from './memory-access-store.ts'

/** Access points in memory, and who may use the instance API by them. */
export function clientAccessFixture(parts: {
  readonly clock: { now(): number; monotonic(): number }
  readonly configured?: readonly ClientCredential[]
  readonly hasPeers?: boolean
  readonly issuer?: ClientKeyIssuer
}) {
  const { clock, configured = [], hasPeers = false, issuer = new Pkcs12Issuer() } = parts
  const access = new MemoryAccessStore()
  const cache = { maxAgeMs: 200, entriesMax: 100 }
  const clientDirectory = new ClientKeyDirectory({ access, clock, cache, configured, hasPeers })
  const clients = new ClientAccess({
    access,
    directory: clientDirectory,
    issuer,
    issues: new InFlightLimit({ max: 4, perAccountMax: 2 }),
    clock,
    newId: randomUUID,
  })
  return { access, clientDirectory, clients }
}
