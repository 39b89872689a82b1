import { randomUUID } from 'node:crypto'
import { ClientAccess } from '../../src/core/client-access.ts'
import { type ClientCredential, ClientKeyDirectory } from '../../src/core/client-key-directory.ts'
import { Pkcs12Issuer } from '../../src/providers/client-keys/issuer.ts'
import { MemoryAccessStore } from './memory-access-store.ts'

/** Access points in memory, and who may use the instance API by them. */
export function clientAccessFixture(parts: {
  readonly clock: { now(): number; monotonic(): number }
  readonly configured?: readonly ClientCredential[]
  readonly hasPeers?: boolean
}) {
  const { clock, configured = [], hasPeers = false } = parts
  const access = new MemoryAccessStore()
  const cache = { maxAgeMs: 200, entriesMax: 100 }
  const clientDirectory = new ClientKeyDirectory({ access, clock, cache, configured, hasPeers })
  const clients = new ClientAccess({
    access,
    directory: clientDirectory,
    issuer: new Pkcs12Issuer(),
    clock,
    newId: randomUUID,
  })
  return { access, clientDirectory, clients }
}
