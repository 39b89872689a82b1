/** The image's HEALTHCHECK: whether /readyz of this container answers 200, and what it says where it does not. */
const port = process.env.P11KMS_SERVER_PORT || '7711'
try {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(3500) })
  process.stdout.write(await response.text())
  process.exitCode = response.ok ? 0 : 1
} catch (error) {
  const { cause } = error
  process.stdout.write(cause instanceof Error ? cause.message : error.message)
  process.exitCode = 1
}
