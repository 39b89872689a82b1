/* Encryption and decryption, with the IVs of AES-GCM chosen as other vendors' tokens choose them. */
#ifndef P11CHAOS_GCM_H
#define P11CHAOS_GCM_H

#include "call.h"

CK_RV gcm_encrypt_init(Call *call, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
CK_RV gcm_decrypt_init(Call *call, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
CK_RV gcm_encrypt(Call *call, CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_length, CK_BYTE *out,
                  CK_ULONG *out_length);
CK_RV gcm_decrypt(Call *call, CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_length, CK_BYTE *out,
                  CK_ULONG *out_length);
CK_RV gcm_encrypt_final(Call *call, CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_length);
CK_RV gcm_decrypt_final(Call *call, CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_length);

#endif
