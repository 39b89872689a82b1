/*
 * Signatures that the real module does not make, by the OpenSSL of the process that loaded this module: Node.js exports the one that
 * it is built with. Nothing is linked; a process without OpenSSL 3.5 or later makes none.
 */
#ifndef P11CHAOS_OPENSSL_H
#define P11CHAOS_OPENSSL_H

#include "cryptoki.h"

/* Kinds of key pairs; the first three are values of CKA_PARAMETER_SET. */
typedef enum { PAIR_NONE, PAIR_ML_DSA_44, PAIR_ML_DSA_65, PAIR_ML_DSA_87, PAIR_ED25519, PAIR_KIND_COUNT } PairKind;

/* What is signed: the message; a digest by SHA-512, or a message to hash so, for Ed25519ph; the representative of a message. */
typedef enum { SIGN_MESSAGE, SIGN_PH_DIGEST, SIGN_PH_MESSAGE, SIGN_MU } SignScheme;

#define PAIR_SEED_BYTES 32
#define PAIR_PUBLIC_BYTES_MAX 2592
#define MU_BYTES 64
#define SHA512_BYTES 64

bool openssl_is_there(void);
size_t pair_public_bytes(PairKind kind);
size_t pair_signature_bytes(PairKind kind);
bool sha256(const CK_BYTE *bytes, size_t length, CK_BYTE digest[PAIR_SEED_BYTES]);
/* Both write exactly as many bytes as the functions above tell; false where OpenSSL does not do it. */
bool pair_public_key(PairKind kind, const CK_BYTE seed[PAIR_SEED_BYTES], CK_BYTE *key);
bool pair_sign(PairKind kind, const CK_BYTE seed[PAIR_SEED_BYTES], SignScheme scheme, const CK_BYTE *data, size_t length,
               CK_BYTE *signature);

#endif
