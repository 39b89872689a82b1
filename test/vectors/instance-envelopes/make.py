"""Makes vectors.json by the text of docs/spec/envelope.md, apart from the code under test. To run: pip install cryptography, then
python make.py > vectors.json."""
import hashlib, json, uuid
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DOMAIN = b'p11kms/envelope\0'
FORMS = {('W0', 'raw'): 0x00, ('W0', 'pkcs8-der'): 0x01, ('W0', 'pkcs8-pem'): 0x02, ('W1', 'raw'): 0x10}

def some(what, n):
    out, i = b'', 0
    while len(out) < n:
        out += hashlib.sha256(f'{what}/{i}'.encode()).digest(); i += 1
    return out[:n]

def vector(name, mode, presentation, plaintext, iv_bytes=12, aad=b'', chosen=False):
    version = str(uuid.UUID(bytes=some(name + 'version', 16)))
    key, iv = some(name + 'key', 32), some(name + 'iv', iv_bytes)
    form = FORMS[(mode, presentation)]
    caller = b'\x02' + aad if aad else b'\x00'
    wanted = some(name + 'wanted', 12) if chosen else b''
    if chosen: caller = b'\x03' + wanted + caller
    bound = DOMAIN + bytes([2, form]) + uuid.UUID(version).bytes + caller
    sealed = AESGCM(key).encrypt(iv, plaintext, bound)
    trailer = bytes([form | (0x80 if iv_bytes == 16 else 0) | (0x40 if chosen else 0)])
    openapi = version.encode() + wanted + iv + sealed + trailer
    told = wanted if chosen else iv
    h = lambda b: b.hex()
    return {'name': name, 'form': {'mode': mode, 'presentation': presentation}, 'keyVersionId': version, 'masterKey': h(key),
            'callerAad': h(aad), 'plaintext': h(plaintext), 'iv': h(iv), **({'chosenIv': h(wanted)} if chosen else {}),
            'ciphertext': h(sealed[:-16]), 'tag': h(sealed[-16:]), 'aad': h(bound),
            'openapi': h(openapi), 'advance': '240002' + h(openapi), 'detached': {'iv': h(told), 'blob': h(openapi[36 + len(told):])}}

print(json.dumps([
    vector('bytes, no AAD', 'W0', 'raw', b'plain'),
    vector('bytes with AAD', 'W0', 'raw', some('text', 40), aad=b'authenticated'),
    vector('a byte, an IV of the token', 'W0', 'raw', b'\0', iv_bytes=16, aad=b'\0'),
    vector('an IV of the caller', 'W0', 'raw', b'plain', chosen=True),
    vector('an IV of the caller and one of the token, with AAD', 'W0', 'raw', some('text', 33), iv_bytes=16, aad=b'x' * 300, chosen=True),
    vector('a key that was wrapped', 'W1', 'raw', some('data key', 32), aad=b'context'),
], indent=1))
