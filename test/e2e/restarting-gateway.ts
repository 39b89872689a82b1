import type { KMSClient } from '@aws-sdk/client-kms'
import { afterAll, beforeAll } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'

/** The built program in a home of its own, with a client of the SDK. To be called once in a `describe`. */
export function restartingGateway() {
  let home: string
  let gateway: Gateway
  let client: KMSClient
  const start = async () => {
    gateway = await startGateway({ home })
    client = sdkClient(gateway.env, { maxAttempts: 1 })
  }
  const stop = async () => {
    client.destroy()
    await gateway.stop()
  }
  beforeAll(async () => {
    home = newHome()
    await start()
  })
  afterAll(async () => {
    await stop()
    removeHome(home)
  })
  return {
    /** The one of now: a restart makes another. */
    client: () => client,
    home: () => home,
    restart: async () => {
      await stop()
      await start()
    },
  }
}
