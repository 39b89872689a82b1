import type { Attachment } from '../lane-token.ts'
import { parseJsonPart } from '../lanes/messages.ts'
import { type Procedure, part } from './procedure.ts'

/** Opens the lane's session on the token that the control lane connected. Part 0: {@link Attachment} as JSON. */
export const attach: Procedure = (token, _, parts) => {
  token.attach(parseJsonPart(part(parts, 0)) as Attachment)
  return []
}

/** Closes the lane's session, so that the library can be finalized. */
export const detach: Procedure = (token) => {
  token.detach()
  return []
}
