#include "new-pairs.h"

#include <string.h>

#define TEMPLATE_MAX 64
#define CARRIER_SIGNATURE_BYTES 64

/* What a carrier signs to have the seed of its pair drawn from. */
static const CK_BYTE SEED_TEXT[] = "p11chaos: seed of a key pair";
/* CKA_SUBJECT of both objects: this, and the kind as a digit. */
static const CK_BYTE MARK[] = "p11chaos: pair of kind ";
#define MARK_BYTES sizeof MARK /* without its NUL, and with the digit */
static const CK_BYTE ED25519[] = {0x06, 0x03, 0x2b, 0x65, 0x70};
static const CK_ULONG CARRIER_TYPE = CKK_EC_EDWARDS, PUBLIC_KEY = CKO_PUBLIC_KEY, PRIVATE_KEY = CKO_PRIVATE_KEY;

/* Whether the token of the call knows ML-DSA, and whether Ed25519 pairs are ours; into copies, as rule_copied. */
static bool knows_ml_dsa(const Call *call, Rule *rule) { return openssl_is_there() && rule_copied(K_ML_DSA, call, rule); }

static bool knows_ed25519ph(const Call *call, Rule *rule) {
  return openssl_is_there() && rule_copied(K_ED25519PH, call, rule);
}

static bool is_ml_dsa(PairKind kind) { return kind >= PAIR_ML_DSA_44 && kind <= PAIR_ML_DSA_87; }

static PairKind kind_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  CK_BYTE mark[MARK_BYTES];
  CK_ATTRIBUTE subject = {CKA_SUBJECT, mark, sizeof mark};
  if (REAL(C_GetAttributeValue, session, object, &subject, 1) != CKR_OK) return PAIR_NONE;
  if (subject.ulValueLen != sizeof mark || memcmp(mark, MARK, MARK_BYTES - 1) != 0) return PAIR_NONE;
  int kind = mark[MARK_BYTES - 1] - '0';
  return kind > PAIR_NONE && kind < PAIR_KIND_COUNT ? (PairKind)kind : PAIR_NONE;
}

/* Without a rule nothing is looked at. */
static PairKind kind_under_rules(const Call *call, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  Rule rule;
  return knows_ml_dsa(call, &rule) || knows_ed25519ph(call, &rule) ? kind_of(session, object) : PAIR_NONE;
}

/* Ends the operation of the carrier that is under way. */
static CK_RV draw_seed(CK_SESSION_HANDLE session, CK_BYTE seed[PAIR_SEED_BYTES]) {
  CK_BYTE signature[CARRIER_SIGNATURE_BYTES];
  CK_BYTE text[sizeof SEED_TEXT];
  CK_ULONG length = sizeof signature;
  memcpy(text, SEED_TEXT, sizeof text);
  CK_RV rv = REAL(C_Sign, session, text, sizeof text, signature, &length);
  if (rv != CKR_OK) return rv;
  return length == sizeof signature && sha256(signature, length, seed) ? CKR_OK : CKR_FUNCTION_FAILED;
}

static CK_RV start_carrier(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) {
  CK_MECHANISM eddsa = {CKM_EDDSA, NULL, 0};
  return REAL(C_SignInit, session, &eddsa, key);
}

/* The kind that a public template asks for. */
static CK_RV asked_kind(const CK_MECHANISM *mechanism, const CK_ATTRIBUTE *list, CK_ULONG count, PairKind *kind) {
  *kind = PAIR_ED25519;
  if (mechanism->mechanism == CKM_EC_EDWARDS_KEY_PAIR_GEN) return CKR_OK;
  for (CK_ULONG i = 0; i < count; i++) {
    if (list[i].type != CKA_PARAMETER_SET) continue;
    CK_ULONG set = 0;
    if (list[i].ulValueLen != sizeof set) return CKR_ATTRIBUTE_VALUE_INVALID;
    memcpy(&set, list[i].pValue, sizeof set);
    if (set > PAIR_ML_DSA_87 || !is_ml_dsa((PairKind)set)) return CKR_PARAMETER_SET_NOT_SUPPORTED;
    *kind = (PairKind)set;
    return CKR_OK;
  }
  return CKR_TEMPLATE_INCOMPLETE;
}

/* A template as the carrier has it, with `more` for what it says otherwise. CKA_MODIFIABLE comes last, as SoftHSM wants it. */
static CK_ULONG carrier_template(const CK_ATTRIBUTE *list, CK_ULONG count, const CK_ATTRIBUTE *more, CK_ULONG more_count,
                                 CK_ATTRIBUTE *carrier) {
  CK_ULONG kept = 0;
  const CK_ATTRIBUTE *modifiable = NULL;
  for (CK_ULONG i = 0; i < count; i++) {
    switch (list[i].type) {
      case CKA_CLASS:
      case CKA_KEY_TYPE:
      case CKA_PARAMETER_SET:
      case CKA_EC_PARAMS:
      case CKA_SUBJECT:
      case CKA_ALLOWED_MECHANISMS: break;
      case CKA_MODIFIABLE: modifiable = &list[i]; break;
      default: carrier[kept++] = list[i];
    }
  }
  for (CK_ULONG i = 0; i < more_count; i++) carrier[kept++] = more[i];
  if (modifiable != NULL) carrier[kept++] = *modifiable;
  return kept;
}

static CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG length) {
  CK_ATTRIBUTE made = {type, NULL, length};
  memcpy(&made.pValue, &value, sizeof value); /* the real module reads it only */
  return made;
}

static CK_RV make_public(CK_SESSION_HANDLE session, PairKind kind, const CK_BYTE *mark, const CK_BYTE *key,
                         const CK_ATTRIBUTE *list, CK_ULONG count, CK_OBJECT_HANDLE *made) {
  CK_BYTE point[2 + PAIR_PUBLIC_BYTES_MAX] = {0x04, 0x20}; /* CKA_EC_POINT of Ed25519 is a DER OCTET STRING */
  CK_ULONG head = kind == PAIR_ED25519 ? 2 : 0, length = pair_public_bytes(kind);
  memcpy(point + head, key, length);
  CK_ATTRIBUTE carrier[TEMPLATE_MAX + 5];
  CK_ATTRIBUTE more[] = {
      attribute(CKA_CLASS, &PUBLIC_KEY, sizeof PUBLIC_KEY),
      attribute(CKA_KEY_TYPE, &CARRIER_TYPE, sizeof CARRIER_TYPE),
      attribute(CKA_EC_PARAMS, ED25519, sizeof ED25519),
      attribute(CKA_EC_POINT, point, head + length),
      attribute(CKA_SUBJECT, mark, MARK_BYTES),
  };
  return REAL(C_CreateObject, session, carrier, carrier_template(list, count, more, 5, carrier), made);
}

/* The carrier of the private key; its own public key is of no use. */
static CK_RV make_carrier(CK_SESSION_HANDLE session, const CK_BYTE *mark, const CK_ATTRIBUTE *list, CK_ULONG count,
                          CK_OBJECT_HANDLE *made) {
  static const CK_BBOOL NO = 0;
  CK_OBJECT_HANDLE unused;
  CK_MECHANISM generation = {CKM_EC_EDWARDS_KEY_PAIR_GEN, NULL, 0};
  CK_ATTRIBUTE carrier[TEMPLATE_MAX + 3];
  CK_ATTRIBUTE more[] = {
      attribute(CKA_CLASS, &PRIVATE_KEY, sizeof PRIVATE_KEY),
      attribute(CKA_KEY_TYPE, &CARRIER_TYPE, sizeof CARRIER_TYPE),
      attribute(CKA_SUBJECT, mark, MARK_BYTES),
  };
  CK_ATTRIBUTE session_key[] = {
      attribute(CKA_EC_PARAMS, ED25519, sizeof ED25519),
      attribute(CKA_TOKEN, &NO, sizeof NO),
      attribute(CKA_PRIVATE, &NO, sizeof NO),
  };
  CK_ULONG carrier_count = carrier_template(list, count, more, 3, carrier);
  CK_RV rv = REAL(C_GenerateKeyPair, session, &generation, session_key, 3, carrier, carrier_count, &unused, made);
  if (rv == CKR_OK) REAL(C_DestroyObject, session, unused);
  return rv;
}

CK_RV new_pair_generate(Call *call, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public_template,
                        CK_ULONG public_count, CK_ATTRIBUTE *private_template, CK_ULONG private_count,
                        CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key) {
  Rule rule;
  PairKind kind;
  CK_BYTE mark[MARK_BYTES], seed[PAIR_SEED_BYTES], key[PAIR_PUBLIC_BYTES_MAX];
  CK_MECHANISM_TYPE type = mechanism == NULL ? CKM_RSA_PKCS_KEY_PAIR_GEN : mechanism->mechanism;
  bool ours = (type == CKM_ML_DSA_KEY_PAIR_GEN && knows_ml_dsa(call, &rule)) ||
              (type == CKM_EC_EDWARDS_KEY_PAIR_GEN && knows_ed25519ph(call, &rule));
  if (!ours) {
    return REAL(C_GenerateKeyPair, session, mechanism, public_template, public_count, private_template, private_count,
                public_key, private_key);
  }
  if (public_count > TEMPLATE_MAX || private_count > TEMPLATE_MAX) return CKR_HOST_MEMORY;
  CK_RV rv = asked_kind(mechanism, public_template, public_count, &kind);
  if (rv != CKR_OK) return rv;
  memcpy(mark, MARK, MARK_BYTES - 1);
  mark[MARK_BYTES - 1] = (CK_BYTE)('0' + kind);
  rv = make_carrier(session, mark, private_template, private_count, private_key);
  if (rv != CKR_OK) return rv;
  rv = start_carrier(session, *private_key);
  if (rv == CKR_OK) rv = draw_seed(session, seed);
  if (rv == CKR_OK && !pair_public_key(kind, seed, key)) rv = CKR_FUNCTION_FAILED;
  if (rv == CKR_OK) rv = make_public(session, kind, mark, key, public_template, public_count, public_key);
  if (rv != CKR_OK) REAL(C_DestroyObject, session, *private_key);
  return rv;
}

/* Gives a value by the convention of C_GetAttributeValue. */
static CK_RV give(CK_ATTRIBUTE *to, const void *value, CK_ULONG length) {
  CK_ULONG room = to->ulValueLen;
  to->ulValueLen = length;
  if (to->pValue == NULL) return CKR_OK;
  if (room < length) {
    to->ulValueLen = CK_UNAVAILABLE_INFORMATION;
    return CKR_BUFFER_TOO_SMALL;
  }
  memcpy(to->pValue, value, length);
  return CKR_OK;
}

static CK_RV give_number(CK_ATTRIBUTE *to, CK_ULONG value) { return give(to, &value, sizeof value); }

static CK_RV get_one(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, PairKind kind, CK_ATTRIBUTE *to) {
  static const CK_BBOOL YES = 1;
  if (to->type == CKA_LOCAL) return give(to, &YES, sizeof YES);
  if (!is_ml_dsa(kind)) return REAL(C_GetAttributeValue, session, object, to, 1);
  switch (to->type) {
    case CKA_KEY_TYPE: return give_number(to, CKK_ML_DSA);
    case CKA_PARAMETER_SET: return give_number(to, kind);
    case CKA_KEY_GEN_MECHANISM: return give_number(to, CKM_ML_DSA_KEY_PAIR_GEN);
    case CKA_EC_PARAMS:
    case CKA_EC_POINT: to->ulValueLen = CK_UNAVAILABLE_INFORMATION; return CKR_ATTRIBUTE_TYPE_INVALID;
    default: break;
  }
  CK_ULONG class = CKO_PRIVATE_KEY;
  CK_ATTRIBUTE asked = {CKA_CLASS, &class, sizeof class};
  CK_RV rv = REAL(C_GetAttributeValue, session, object, &asked, 1);
  if (rv != CKR_OK) return rv;
  CK_ATTRIBUTE real = *to;
  if (to->type == CKA_VALUE && class == CKO_PUBLIC_KEY) real.type = CKA_EC_POINT;
  rv = REAL(C_GetAttributeValue, session, object, &real, 1);
  to->ulValueLen = real.ulValueLen;
  return rv;
}

CK_RV new_pair_attributes(Call *call, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *list,
                          CK_ULONG count) {
  PairKind kind = list == NULL ? PAIR_NONE : kind_under_rules(call, session, object);
  if (kind == PAIR_NONE) return REAL(C_GetAttributeValue, session, object, list, count);
  CK_RV worst = CKR_OK;
  for (CK_ULONG i = 0; i < count; i++) {
    CK_RV rv = get_one(session, object, kind, &list[i]);
    if (rv != CKR_OK) worst = rv;
  }
  return worst;
}

/* What a key of a kind of ours signs with a mechanism. */
static CK_RV scheme_of(const Call *call, PairKind kind, const CK_MECHANISM *mechanism, SignScheme *scheme) {
  Rule rule;
  bool plain = mechanism->pParameter == NULL && mechanism->ulParameterLen == 0;
  *scheme = SIGN_MESSAGE;
  if (is_ml_dsa(kind)) {
    if (mechanism->mechanism == CKM_EDDSA) return CKR_KEY_TYPE_INCONSISTENT;
    if (!knows_ml_dsa(call, &rule)) return CKR_MECHANISM_INVALID;
    if (mechanism->mechanism == CKM_ML_DSA_EXTERNAL_MU) {
      if (!rule.external_mu) return CKR_MECHANISM_INVALID;
      *scheme = SIGN_MU;
    } else if (mechanism->mechanism != CKM_ML_DSA) {
      return CKR_KEY_TYPE_INCONSISTENT;
    }
    return plain ? CKR_OK : CKR_MECHANISM_PARAM_INVALID;
  }
  if (mechanism->mechanism != CKM_EDDSA) return CKR_KEY_TYPE_INCONSISTENT;
  if (plain) return CKR_OK;
  const CK_EDDSA_PARAMS *given = mechanism->pParameter;
  if (mechanism->ulParameterLen != sizeof *given || given->ulContextDataLen != 0) return CKR_MECHANISM_PARAM_INVALID;
  if (!given->phFlag || !knows_ed25519ph(call, &rule)) return CKR_MECHANISM_PARAM_INVALID;
  *scheme = rule.hashes_again ? SIGN_PH_MESSAGE : SIGN_PH_DIGEST;
  return CKR_OK;
}

CK_RV new_pair_sign_init(Call *call, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
  SignScheme scheme = SIGN_MESSAGE;
  PairKind kind = mechanism == NULL ? PAIR_NONE : kind_under_rules(call, session, key);
  CK_RV rv = kind == PAIR_NONE ? CKR_OK : scheme_of(call, kind, mechanism, &scheme);
  if (rv != CKR_OK) return rv;
  rv = kind == PAIR_NONE ? REAL(C_SignInit, session, mechanism, key) : start_carrier(session, key);
  if (rv != CKR_OK) return rv;
  state_lock();
  if (call->session != NULL) {
    call->session->sign_kind = kind;
    call->session->sign_scheme = scheme;
  }
  state_unlock();
  return rv;
}

CK_RV new_pair_sign(Call *call, CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature,
                    CK_ULONG *room) {
  state_lock();
  PairKind kind = call->session == NULL ? PAIR_NONE : call->session->sign_kind;
  SignScheme scheme = call->session == NULL ? SIGN_MESSAGE : call->session->sign_scheme;
  state_unlock();
  if (kind == PAIR_NONE || room == NULL) return REAL(C_Sign, session, data, length, signature, room);
  CK_ULONG had = *room;
  *room = pair_signature_bytes(kind);
  if (signature == NULL) return CKR_OK;
  if (had < *room) return CKR_BUFFER_TOO_SMALL;
  CK_BYTE seed[PAIR_SEED_BYTES];
  CK_RV rv = draw_seed(session, seed);
  if (rv != CKR_OK) return rv;
  if ((scheme == SIGN_MU && length != MU_BYTES) || (scheme == SIGN_PH_DIGEST && length != SHA512_BYTES)) {
    return CKR_DATA_LEN_RANGE;
  }
  return pair_sign(kind, seed, scheme, data, length, signature) ? CKR_OK : CKR_FUNCTION_FAILED;
}
