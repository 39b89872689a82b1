import {
  create,
  createFileRegistry,
  type DescMessage,
  fromBinary,
  type Message as ProtobufMessage,
  toBinary,
} from '@bufbuild/protobuf'
import { reflect } from '@bufbuild/protobuf/reflect'
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'
import { invariant } from '../../../lib/invariant.ts'
import { MESSAGES, type Message, type MessageName, type MessageRow } from './messages.ts'

const PACKAGE = 'api'

const FIELD_TYPES = {
  string: FieldDescriptorProto_Type.STRING,
  strings: FieldDescriptorProto_Type.STRING,
  bytes: FieldDescriptorProto_Type.BYTES,
  int32: FieldDescriptorProto_Type.INT32,
  bool: FieldDescriptorProto_Type.BOOL,
} as const

const DESCRIPTORS = describeMessages()

/** The descriptors that the table of messages stands for: the library interprets them, and no code is generated. */
function describeMessages(): ReadonlyMap<MessageName, DescMessage> {
  const names = Object.keys(MESSAGES) as MessageName[]
  const file = create(FileDescriptorProtoSchema, {
    name: 'api.proto',
    package: PACKAGE,
    syntax: 'proto3',
    messageType: names.map((name) => ({
      name,
      field: Object.entries<MessageRow[string]>(MESSAGES[name]).map(([field, [number, kind]]) => ({
        name: field,
        number,
        type: FIELD_TYPES[kind],
        label: kind === 'strings' ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
      })),
    })),
  })
  const registry = createFileRegistry(file, () => undefined)
  return new Map(
    names.map((name) => {
      const descriptor = registry.getMessage(`${PACKAGE}.${name}`)
      invariant(descriptor, `message ${name} has a descriptor`)
      return [name, descriptor]
    }),
  )
}

/**
 * Reads untrusted bytes. Fields that the message does not have are refused, although proto3 skips them: what a caller asks for and
 * does not get, it has to be told.
 *
 * @param bytes - Fields of bytes lie in the same memory.
 * @returns `undefined` for bytes that are no such message: cut short, of another wire type, with other fields, or text that is
 *   not UTF-8.
 */
export function parseMessage<Name extends MessageName>(name: Name, bytes: Buffer): Message<Name> | undefined {
  const descriptor = descriptorOf(name)
  const parsed = parseAs(descriptor, bytes)
  if (!parsed || (parsed.$unknown?.length ?? 0) > 0) return undefined
  const message = reflect(descriptor, parsed)
  const fields = descriptor.fields.map((field) => {
    const value: unknown = field.fieldKind === 'list' ? [...message.get(field)] : message.get(field)
    return [field.name, value instanceof Uint8Array ? asBuffer(value) : value] as const
  })
  return Object.fromEntries(fields) as Message<Name>
}

function parseAs(descriptor: DescMessage, bytes: Buffer): ProtobufMessage | undefined {
  try {
    return fromBinary(descriptor, bytes)
  } catch {
    // Of broken data the library throws errors of several classes, a RangeError among them.
    return undefined
  }
}

/** Inverse of {@link parseMessage}. */
export function encodeMessage<Name extends MessageName>(name: Name, message: Message<Name>): Buffer {
  const descriptor = descriptorOf(name)
  const reflected = reflect(descriptor)
  const values: Readonly<Record<string, unknown>> = message
  for (const field of descriptor.fields) {
    const value = values[field.name]
    if (field.fieldKind !== 'list') reflected.set(field, value)
    else if (Array.isArray(value)) for (const item of value) reflected.get(field).add(item)
  }
  return asBuffer(toBinary(descriptor, reflected.message))
}

function descriptorOf(name: MessageName): DescMessage {
  const descriptor = DESCRIPTORS.get(name)
  invariant(descriptor, `message ${name} has a descriptor`)
  return descriptor
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
