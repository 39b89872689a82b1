import { z } from 'zod'

const NOT_A_SOURCE = 'Name where the secret is, such as { file: path }; it is not written here itself.'

/** Where a secret comes from: exactly one of a file, a descriptor that the service manager opened, or the environment. */
export const secretSource = z
  .strictObject(
    {
      file: z
        .string()
        .min(1)
        .optional()
        .describe(
          'Path of a file that holds the secret, writable by its owner alone; one trailing newline is cut off.',
        ),
      fd: z
        .int()
        .min(3)
        .max(1023)
        .optional()
        .describe('File descriptor to read the secret from, once, at start.'),
      env: z.string().min(1).optional().describe('Name of an environment variable of the service.'),
    },
    { error: ({ code }) => (code === 'invalid_type' ? NOT_A_SOURCE : undefined) },
  )
  .refine((source) => Object.values(source).filter((value) => value !== undefined).length === 1, {
    message: 'Name exactly one of file, fd and env.',
  })

/** A short name that goes into ARNs, labels and rows. */
export const name = (what: string) =>
  z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, `${what} has 1 to 63 lower-case letters, digits and hyphens.`)

/** `literal` is of a seed alone: the configuration never holds a secret itself. */
export type SecretSource = z.infer<typeof secretSource> & { readonly literal?: string }
