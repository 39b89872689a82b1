/**
 * What crosses between the main thread and a lane: frames, many to a message, packed into one ArrayBuffer that is
 * transferred rather than cloned, so that no second copy of a secret stays behind in a serializer.
 */

/** Every procedure of a lane; its index is its code in a frame. Arguments are described in `procedures/`. */
export const OPERATIONS = [
  'connect',
  'disconnect',
  'finalize',
  'attach',
  'detach',
  'checkHealth',
  'sealRandom',
  'seal',
  'sealRandomInside',
  'sealKeyPair',
  'open',
  'generateRandom',
  'sign',
  'decryptRsa',
  'mac',
  'deriveSecret',
  'createMasterKey',
  'createKeyPair',
  'createMacKey',
  'readPublicKey',
  'destroyMasterKey',
  'findMasterKey',
  'createImportPair',
  'destroyImportPair',
  'importMasterKey',
] as const
export type Operation = (typeof OPERATIONS)[number]

/** `code` of a reply. A fault is JSON of a `TokenFault` in the first part. */
export const REPLY = { ok: 0, fault: 1, expired: 2 } as const

/** What procedures did beside their work. */
export interface LaneNotes {
  /** Sessions given up because of an error; at most 1,023 are told. */
  readonly sessionsDiscarded: number
  /** Answers that only a mistake of ours brings about; at most 63 are told. */
  readonly misuses: number
  /** Session objects that were made; at most 65,535 are told. */
  readonly sessionObjects: number
}

/** Packs notes into the `number` of a reply; 0 when there is nothing to tell. */
export function packNotes({ sessionsDiscarded, misuses, sessionObjects }: LaneNotes): number {
  const low = Math.min(sessionsDiscarded, 0x3ff) + Math.min(misuses, 0x3f) * 0x400
  return low + Math.min(sessionObjects, 0xffff) * 0x1_0000
}

export function unpackNotes(number: number): LaneNotes {
  return {
    sessionsDiscarded: number & 0x3ff,
    misuses: (number >>> 10) & 0x3f,
    sessionObjects: number >>> 16,
  }
}

/** Frames of one message; more wait for the next. */
export const BATCH_MAX = 16

export interface Frame {
  /** Names the call; unsigned 32 bits. */
  readonly id: number
  /** Index in {@link OPERATIONS}, or one of {@link REPLY}. */
  readonly code: number
  /** Request: deadline in milliseconds since the epoch. Reply: milliseconds spent on the token. */
  readonly time: number
  /** Request: one unsigned 32-bit argument, 0 where the procedure wants none. Reply: {@link packNotes}. */
  readonly number: number
  readonly parts: readonly Uint8Array[]
}

/** Frame layout: id, code, count of parts, time, number; then a length per part, then the parts. Little-endian. */
const HEAD = { id: 0, code: 4, partsCount: 5, time: 6, number: 14, bytes: 18 } as const
const LENGTH_BYTES = 4

/** Packs frames into a buffer that owns its memory, ready to be transferred. */
export function encodeFrames(frames: readonly Frame[]): Buffer<ArrayBuffer> {
  let total = 0
  for (const frame of frames) {
    total += HEAD.bytes + LENGTH_BYTES * frame.parts.length
    for (const part of frame.parts) total += part.length
  }
  const packet = Buffer.allocUnsafeSlow(total)
  let at = 0
  for (const frame of frames) at = encodeFrame(packet, at, frame)
  return packet
}

function encodeFrame(packet: Buffer, start: number, frame: Frame): number {
  packet.writeUInt32LE(frame.id, start + HEAD.id)
  packet[start + HEAD.code] = frame.code
  packet[start + HEAD.partsCount] = frame.parts.length
  packet.writeDoubleLE(frame.time, start + HEAD.time)
  packet.writeUInt32LE(frame.number, start + HEAD.number)
  let lengthAt = start + HEAD.bytes
  let at = lengthAt + LENGTH_BYTES * frame.parts.length
  for (const part of frame.parts) {
    packet.writeUInt32LE(part.length, lengthAt)
    packet.set(part, at)
    lengthAt += LENGTH_BYTES
    at += part.length
  }
  return at
}

/** Unpacks what {@link encodeFrames} packed; parts are views of `message`. */
export function decodeFrames(message: Uint8Array<ArrayBuffer>): Frame[] {
  const packet = Buffer.from(message.buffer, message.byteOffset, message.length)
  const frames: Frame[] = []
  let start = 0
  while (start < packet.length) {
    const count = packet[start + HEAD.partsCount] ?? 0
    const parts: Buffer[] = []
    let at = start + HEAD.bytes + LENGTH_BYTES * count
    for (let index = 0; index < count; index += 1) {
      const length = packet.readUInt32LE(start + HEAD.bytes + LENGTH_BYTES * index)
      parts.push(packet.subarray(at, at + length))
      at += length
    }
    frames.push({
      id: packet.readUInt32LE(start + HEAD.id),
      code: packet[start + HEAD.code] ?? 0,
      time: packet.readDoubleLE(start + HEAD.time),
      number: packet.readUInt32LE(start + HEAD.number),
      parts,
    })
    start = at
  }
  return frames
}

/** A part that carries plain data. */
export function jsonPart(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8')
}

/** The plain data of a part that our own code packed. */
export function parseJsonPart(part: Uint8Array | undefined): unknown {
  return JSON.parse(Buffer.from(part ?? []).toString('utf8'))
}
