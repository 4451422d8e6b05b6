/* SPDX-License-Identifier: BSD-3-Clause */
/* As whom a case acts: the host identities of the profile, chosen by what the case wants, one case at a time on each. */
#ifndef NVC_ENGINE_IDENTITY_H
#define NVC_ENGINE_IDENTITY_H

#include "harness/engine/test.h"

/* identity_default chooses whose name the hosts of the case have until test_identity: the first of the profile, or, where engines run side
 * by side, the first like it that is free. */
void identity_default(struct test *t);

/* identity_release_all lets other cases act as the identities of this one. */
void identity_release_all(struct test *t);

#endif
