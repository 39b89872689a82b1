import { isKmsError } from '../../../core/errors.ts'
import type { Kms } from '../../../core/kms.ts'
import type { CallContext } from '../../../core/kms-context.ts'
import { InstanceFault, onlySymmetric } from './fault.ts'
import type { Message, MessageName } from './messages.ts'
import { encodeMessage, parseMessage } from './protobuf.ts'

/** What a handler works with. */
export interface InstanceCall {
  readonly kms: Kms
  readonly context: CallContext
  /** Key version that the client asks for, in `x-kms-migrationkeyversionid`. */
  readonly keyVersionId: string | undefined
  readonly requestId: string
}

export interface InstanceAnswer {
  readonly body: Buffer
  /** Key version that was used. */
  readonly keyVersionId: string | undefined
}

/** One operation of the API, as the router, the documentation and the tests see it. */
export interface InstanceOperation {
  /**
   * Reads the message, carries out, and encodes the answer.
   *
   * @throws {@link InstanceFault} or {@link KmsError}
   */
  run(call: InstanceCall, body: Buffer): Promise<InstanceAnswer>
}

type Response<Name extends MessageName> = Omit<Message<Name>, 'RequestId'>

/** Makes a row of the operation table; `name` is that of the messages, and the request's id is added. */
export function instanceOperation<
  Request extends MessageName,
  Answer extends Extract<MessageName, `${string}Response`>,
>(row: {
  readonly request: Request
  readonly answer: Answer
  /** Field that is zeroed once it is encoded. */
  readonly secret?: keyof Response<Answer>
  readonly handle: (
    call: InstanceCall,
    message: Message<Request>,
  ) => Promise<{ readonly fields: Response<Answer>; readonly keyVersionId?: string }>
}): InstanceOperation {
  return {
    async run(call, body) {
      const message = parseMessage(row.request, body)
      if (!message) throw malformed(row.request)
      const { fields, keyVersionId } = await row.handle(call, message)
      const whole = { ...fields, RequestId: call.requestId } as unknown as Message<Answer>
      try {
        return { body: encodeMessage(row.answer, whole), keyVersionId }
      } finally {
        const secret: unknown = row.secret === undefined ? undefined : fields[row.secret]
        if (Buffer.isBuffer(secret)) secret.fill(0)
      }
    },
  }
}

/** What `work` gives. A key that is not symmetric is refused in the words of the operations that take no other. */
export async function forSymmetricKey<T>({ context }: InstanceCall, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const otherKind = isKmsError(error, 'KEY_USAGE_INVALID') || isKmsError(error, 'KEY_ALGORITHM_INVALID')
    throw otherKind ? onlySymmetric(context.trail.keyId ?? '') : error
  }
}

function malformed(name: MessageName): InstanceFault {
  return new InstanceFault(
    'InvalidParameter',
    400,
    `The specified parameter is not valid. The body is no message ${name} of dkms-gcs-0.2.`,
  )
}
