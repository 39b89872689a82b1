import { z } from 'zod'
import { type OpenApiOperation, openApiOperation } from '../operation.ts'

/** What concerns the service as a whole. It is there for whoever has a credential, so nothing has to be opened. */
export const SERVICE_OPERATIONS = {
  DescribeRegions: openApiOperation({
    parameters: z.object({}),
    handle: async ({ regions }) => ({ Regions: { Region: regions.map((RegionId) => ({ RegionId })) } }),
  }),

  DescribeAccountKmsStatus: openApiOperation({
    parameters: z.object({}),
    handle: async () => ({ AccountStatus: 'Enabled' }),
  }),

  OpenKmsService: openApiOperation({
    parameters: z.object({}),
    handle: async () => ({}),
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>
