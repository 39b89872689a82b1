"""Makes vectors.json: every message of dkms-gcs-0.2, encoded by Google's protobuf for Python with the descriptors that Alibaba
Cloud publishes in its SDK. To run: pip install alibabacloud-dkms-gcs==1.0.2 protobuf==3.20.3, then python make.py > vectors.json."""
import json, sys
from openapi_util.protobuf import api_pb2
from google.protobuf import __version__
from google.protobuf.descriptor import FieldDescriptor as F

NAMES = """Error EncryptRequest EncryptResponse DecryptRequest DecryptResponse SignRequest SignResponse VerifyRequest
VerifyResponse HmacRequest HmacResponse GenerateRandomRequest GenerateRandomResponse GenerateDataKeyRequest
GenerateDataKeyResponse GetPublicKeyRequest GetPublicKeyResponse GetSecretValueRequest GetSecretValueResponse
AdvanceEncryptRequest AdvanceEncryptResponse AdvanceDecryptRequest AdvanceDecryptResponse AdvanceGenerateDataKeyRequest
AdvanceGenerateDataKeyResponse GenerateDataKeyPairRequest GenerateDataKeyPairResponse
GenerateDataKeyPairWithoutPlaintextRequest GenerateDataKeyPairWithoutPlaintextResponse AdvanceGenerateDataKeyPairRequest
AdvanceGenerateDataKeyPairResponse AdvanceGenerateDataKeyPairWithoutPlaintextRequest
AdvanceGenerateDataKeyPairWithoutPlaintextResponse""".split()

def value(field, kind):
    seed = field.number * 7 + len(field.name)
    if field.type == F.TYPE_BOOL: return kind != 'empty'
    if field.type == F.TYPE_INT32: return {'plain': seed, 'edge': -1 if field.number % 2 else 2**31 - 1}[kind]
    if field.type == F.TYPE_BYTES:
        return bytes((seed + i) % 256 for i in range({'plain': 1 + seed % 40, 'edge': 300}[kind]))
    text = {'plain': f'{field.name}-{seed}', 'edge': 'schlüssel/键\U0001f511' + 'x' * 200}[kind]
    return [text, '', 'z'] if field.label == F.LABEL_REPEATED else text

vectors = []
for name in NAMES:
    cls = getattr(api_pb2, name, None)
    if cls is None:
        print('absent: ' + name, file=sys.stderr)
        continue
    for kind in ('empty', 'plain', 'edge'):
        message, shown = cls(), {}
        for field in cls.DESCRIPTOR.fields:
            if kind == 'empty': continue
            v = value(field, kind)
            if field.label == F.LABEL_REPEATED: getattr(message, field.name).extend(v)
            else: setattr(message, field.name, v)
            shown[field.name] = {'hex': v.hex()} if isinstance(v, bytes) else v
        vectors.append({'message': name, 'kind': kind, 'fields': shown, 'hex': message.SerializeToString(deterministic=True).hex()})
print(json.dumps({'protobuf': __version__, 'vectors': vectors}, ensure_ascii=True, indent=1))
