/* What the files of this module share and nobody else needs. */
#ifndef P11CHAOS_MODULE_H
#define P11CHAOS_MODULE_H

#include "state.h"

#define DECLARE_FUNCTION(name, operation, login, arguments) CK_RV name arguments;
CRYPTOKI_FUNCTIONS(DECLARE_FUNCTION)
#undef DECLARE_FUNCTION

/* Makes the sessions of a token dead, or of all tokens; `really` closes them as well as soon as nothing uses them. */
void sessions_kill(const char *label, bool really);
/* A real session to be closed now, each once. */
bool session_to_close(CK_SESSION_HANDLE *handle);

#endif
