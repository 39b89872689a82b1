/*
 * Key pairs of a token that knows more than the real module: ML-DSA (PKCS#11 v3.2), and Ed25519 with its variant of digests. What
 * the real token holds is a carrier: an Ed25519 private key, from whose signature of a fixed text the seed of the pair is drawn, and
 * which has every other attribute of the template; and a public key object around the pair's public key. So they are found, kept,
 * protected and destroyed as the real token does it. CKA_SUBJECT marks both.
 */
#ifndef P11CHAOS_NEW_PAIRS_H
#define P11CHAOS_NEW_PAIRS_H

#include "call.h"

CK_RV new_pair_generate(Call *call, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public_template,
                        CK_ULONG public_count, CK_ATTRIBUTE *private_template, CK_ULONG private_count,
                        CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key);
CK_RV new_pair_attributes(Call *call, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *list,
                          CK_ULONG count);
CK_RV new_pair_sign_init(Call *call, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
CK_RV new_pair_sign(Call *call, CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature,
                    CK_ULONG *room);

#endif
