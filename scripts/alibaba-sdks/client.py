"""The unmodified Python SDK of the KMS Instance API against a gateway: client.py host:port client-key.json password key-id."""
import sys

from cryptography.hazmat.primitives import serialization
from openapi.models import Config
from openapi_util.models import RuntimeOptions
from sdk import models
from sdk.client import Client

endpoint, key_file, password, key_id = sys.argv[1:5]
with open(key_file, encoding='utf8') as file:
    client = Client(Config(protocol='http', endpoint=endpoint, client_key_content=file.read(), password=password))


def call(name, **fields):
    request = getattr(models, ''.join(part.capitalize() for part in name.split('_')) + 'Request')(**fields)
    return getattr(client, name + '_with_options')(request, RuntimeOptions(ignore_ssl=True))


def check(what, right):
    print('ok' if right else 'WRONG', what)
    if not right:
        sys.exit(1)


sealed = call('encrypt', key_id=key_id, plaintext=b'hello', aad=b'aad')
opened = call('decrypt', key_id=key_id, ciphertext_blob=sealed.ciphertext_blob, iv=sealed.iv, aad=b'aad', algorithm=sealed.algorithm)
check('encrypt, decrypt', opened.plaintext == b'hello')
sealed = call('encrypt', key_id=key_id, plaintext=b'hello', iv=b'123456789012')
opened = call('decrypt', key_id=key_id, ciphertext_blob=sealed.ciphertext_blob, iv=sealed.iv)
check('encrypt with an IV', sealed.iv == b'123456789012' and opened.plaintext == b'hello')
sealed = call('advance_encrypt', key_id='alias/demo', plaintext=b'hello', aad=b'x')
check('advance_encrypt, advance_decrypt', call('advance_decrypt', ciphertext_blob=sealed.ciphertext_blob, aad=b'x').plaintext == b'hello')
key = call('generate_data_key', key_id=key_id, number_of_bytes=32)
opened = call('advance_decrypt', key_id=key_id, ciphertext_blob=key.ciphertext_blob, iv=key.iv, algorithm=key.algorithm)
check('generate_data_key', len(key.plaintext) == 32 and opened.plaintext == key.plaintext)
key = call('advance_generate_data_key', key_id=key_id, number_of_bytes=64)
check('advance_generate_data_key', call('advance_decrypt', ciphertext_blob=key.ciphertext_blob).plaintext == key.plaintext)
check('generate_random', len(call('generate_random', length=100).random) == 100)

LOADERS = {
    'PEM': (serialization.load_pem_private_key, serialization.load_pem_public_key),
    'DER': (serialization.load_der_private_key, serialization.load_der_public_key),
}
for spec in ('RSA_2048', 'RSA_3072', 'RSA_4096', 'EC_P256', 'EC_P256K'):
    for name in ('generate_data_key_pair', 'generate_data_key_pair_without_plaintext'):
        for form, (load_private, load_public) in LOADERS.items():
            plain = call(name, key_id=key_id, key_pair_spec=spec, key_format=form, aad=b'a')
            advance = call('advance_' + name, key_id=key_id, key_pair_spec=spec, key_format=form, aad=b'a')
            texts = (
                call('decrypt', key_id=key_id, ciphertext_blob=plain.private_key_ciphertext_blob, iv=plain.iv, aad=b'a', algorithm=plain.algorithm).plaintext,
                call('advance_decrypt', ciphertext_blob=advance.private_key_ciphertext_blob, aad=b'a').plaintext,
            )
            for pair, text in zip((plain, advance), texts):
                given = getattr(pair, 'private_key_plaintext', text)
                match = load_private(text, None).public_key().public_numbers() == load_public(pair.public_key).public_numbers()
                check(f'{name} {spec} {form}', given == text and match)
for name, fields, code in (
    ('advance_decrypt', {'ciphertext_blob': sealed.ciphertext_blob}, 'InvalidParameter'),
    ('encrypt', {'key_id': 'no-such-key', 'plaintext': b'x'}, 'Forbidden.KeyNotFound'),
    ('get_secret_value', {'secret_name': 'x'}, 'UnsupportedOperation'),
):
    try:
        call(name, **fields)
        check(f'{name} is refused', False)
    except Exception as error:  # The SDK's errors are of several classes.
        check(f'{name} is refused as {code}', code in str(error))
