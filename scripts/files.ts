import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Paths under `folder` (itself relative to `root`) whose name ends in `suffix`, sorted, with `/` between folders. */
export function filesUnder(root: string, folder: string, suffix: string): string[] {
  const found: string[] = []
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) found.push(...filesUnder(root, path, suffix))
    else if (entry.name.endsWith(suffix)) found.push(path)
  }
  return found.toSorted()
}
