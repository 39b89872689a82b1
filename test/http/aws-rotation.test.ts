import {
  ConflictException,
  DecryptCommand,
  DisabledException,
  DisableKeyCommand,
  DisableKeyRotationCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  GetKeyRotationStatusCommand,
  InvalidMarkerException,
  type KMSClient,
  KMSInvalidStateException,
  LimitExceededException,
  ListKeyRotationsCommand,
  NotFoundException,
  paginateListKeyRotations,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { sdkFixture } from './sdk-fixture.ts'

const DAY = 86_400_000

describe('the rotation of keys, through the unmodified @aws-sdk/client-kms', () => {
  const fixture = sdkFixture()
  let client: KMSClient
  let KeyId: string
  let arn: string

  beforeAll(() => {
    client = fixture.clients.alice
  })
  beforeEach(async () => {
    KeyId = (await fixture.newKey()).keyId
    arn = `arn:aws:kms:us-east-1:111122223333:key/${KeyId}`
  })

  const status = () => client.send(new GetKeyRotationStatusCommand({ KeyId }))
  const rotate = () => client.send(new RotateKeyOnDemandCommand({ KeyId }))
  const encrypt = () => client.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('x') }))

  it('is off at first, is switched on with a period, told, and switched off', async () => {
    const { $metadata: _, ...first } = await status()
    expect(first).toEqual({ KeyId: arn, KeyRotationEnabled: false })
    await client.send(new EnableKeyRotationCommand({ KeyId }))
    expect(await status()).toMatchObject({ KeyRotationEnabled: true, RotationPeriodInDays: 365 })
    await client.send(new EnableKeyRotationCommand({ KeyId: arn, RotationPeriodInDays: 90 }))
    const on = await status()
    expect(on).toMatchObject({ KeyId: arn, KeyRotationEnabled: true, RotationPeriodInDays: 90 })
    const inDays = ((on.NextRotationDate?.getTime() ?? 0) - fixture.clock.now()) / DAY
    expect(inDays).toBeCloseTo(90, 2)
    await client.send(new DisableKeyRotationCommand({ KeyId }))
    expect(await status()).toMatchObject({ KeyRotationEnabled: false })
  })

  it.each([
    [89, 'greater than or equal to 90'],
    [2561, 'less than or equal to 2560'],
  ])('has no period of %d days', async (RotationPeriodInDays, constraint) => {
    const refused = client.send(new EnableKeyRotationCommand({ KeyId, RotationPeriodInDays }))
    await expect(refused).rejects.toMatchObject({
      name: 'ValidationException',
      message: `1 validation error detected: Value '${RotationPeriodInDays}' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value ${constraint}`,
    })
  })

  it('opens what older versions sealed, after rotations on demand and by schedule', async () => {
    await client.send(new EnableKeyRotationCommand({ KeyId, RotationPeriodInDays: 90 }))
    const blobs = [(await encrypt()).CiphertextBlob]
    expect((await rotate()).KeyId).toBe(arn)
    blobs.push((await encrypt()).CiphertextBlob)
    fixture.clock.advance(90 * DAY)
    await fixture.rotation.run()
    // The SDK signs with the real time, so the clock of the server has to come back.
    fixture.clock.advance(-90 * DAY)
    blobs.push((await encrypt()).CiphertextBlob)
    const materials = new Set<string | undefined>()
    for (const CiphertextBlob of blobs) {
      const opened = await client.send(new DecryptCommand({ CiphertextBlob }))
      expect(Buffer.from(opened.Plaintext ?? []).toString()).toBe('x')
      materials.add(opened.KeyMaterialId)
    }
    expect(materials.size).toBe(3)
    const { Rotations } = await client.send(new ListKeyRotationsCommand({ KeyId }))
    const [, second, third] = [...materials]
    expect(Rotations).toMatchObject([
      { KeyId, KeyMaterialId: second, KeyMaterialState: 'NON_CURRENT', RotationType: 'ON_DEMAND' },
      { KeyId, KeyMaterialId: third, KeyMaterialState: 'CURRENT', RotationType: 'AUTOMATIC' },
    ])
    expect(Rotations?.[0]?.RotationDate).toBeInstanceOf(Date)
  })

  it('is listed by pages, with the first material where all of it is asked for', async () => {
    for (let rotation = 0; rotation < 3; rotation++) await rotate()
    const listed: (string | undefined)[] = []
    const input = { KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' } as const
    for await (const page of paginateListKeyRotations({ client, pageSize: 3 }, input))
      listed.push(
        ...(page.Rotations ?? []).map(
          ({ KeyMaterialState, RotationType }) => `${KeyMaterialState} ${RotationType}`,
        ),
      )
    expect(listed).toEqual([
      'NON_CURRENT undefined',
      'NON_CURRENT ON_DEMAND',
      'NON_CURRENT ON_DEMAND',
      'CURRENT ON_DEMAND',
    ])
    const short = await client.send(new ListKeyRotationsCommand({ KeyId, Limit: 2 }))
    expect(short).toMatchObject({ Truncated: true })
    const Marker = short.NextMarker
    const rest = await client.send(new ListKeyRotationsCommand({ KeyId, Marker }))
    expect(rest).toMatchObject({ Truncated: false })
    expect(rest.Rotations).toHaveLength(1)
    for (const wrong of [
      { ...input, Marker },
      { KeyId: (await fixture.newKey()).keyId, Marker },
      { KeyId, Marker: 'x' },
    ])
      await expect(client.send(new ListKeyRotationsCommand(wrong))).rejects.toThrow(InvalidMarkerException)
  })

  it('on demand is had 25 times, in the words of AWS', async () => {
    for (let rotation = 0; rotation < 25; rotation++) await rotate()
    const refused = rotate()
    await expect(refused).rejects.toThrow(LimitExceededException)
    await expect(refused).rejects.toThrow(
      `The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: ${arn}`,
    )
  })

  it('is refused while another rotation goes on, which the status tells', async () => {
    const { provider } = fixture
    const create = provider.createMasterKey.bind(provider)
    provider.createMasterKey = () => Promise.reject(new Error('cut short'))
    await rotate().catch(() => undefined)
    provider.createMasterKey = create
    await expect(rotate()).rejects.toThrow(ConflictException)
    expect((await status()).OnDemandRotationStartDate).toBeInstanceOf(Date)
  })

  it.each([
    ['EnableKeyRotation', () => client.send(new EnableKeyRotationCommand({ KeyId }))],
    ['DisableKeyRotation', () => client.send(new DisableKeyRotationCommand({ KeyId }))],
    ['RotateKeyOnDemand', rotate],
  ])('%s follows the table of key states', async (_, send) => {
    await client.send(new DisableKeyCommand({ KeyId }))
    await expect(send()).rejects.toThrow(DisabledException)
    await expect(send()).rejects.toThrow(`${arn} is disabled.`)
    await client.send(new ScheduleKeyDeletionCommand({ KeyId }))
    await expect(send()).rejects.toThrow(KMSInvalidStateException)
    await expect(send()).rejects.toThrow(`${arn} is pending deletion.`)
    expect(await status()).toMatchObject({ KeyRotationEnabled: false })
    expect((await client.send(new ListKeyRotationsCommand({ KeyId }))).Rotations).toEqual([])
  })

  it('is of keys that exist, named by id or ARN and by no alias', async () => {
    const commands = (id: string) => [
      new EnableKeyRotationCommand({ KeyId: id }),
      new DisableKeyRotationCommand({ KeyId: id }),
      new GetKeyRotationStatusCommand({ KeyId: id }),
      new RotateKeyOnDemandCommand({ KeyId: id }),
      new ListKeyRotationsCommand({ KeyId: id }),
    ]
    const send = (command: ReturnType<typeof commands>[number]) => client.send(command)
    for (const gone of commands('12345678-1234-4234-8234-123456789012'))
      await expect(send(gone)).rejects.toThrow(NotFoundException)
    for (const alias of commands('alias/a'))
      await expect(send(alias)).rejects.toThrow("Invalid keyId 'alias/a'")
  })
})
