/* SPDX-License-Identifier: BSD-3-Clause */
/* The cases that the suites registered, spread out over their parameters. */
#ifndef NVC_ENGINE_REGISTRY_H
#define NVC_ENGINE_REGISTRY_H

#include "suites/case.h"

enum { INSTANCE_ID_SIZE = 128 };

/* One runnable case: a test case with one row of its parameters. */
struct instance {
	char id[INSTANCE_ID_SIZE];
	const struct test_case *test_case;
	const struct case_param *param; /* NULL without parameters */
};

/* registry_load spreads the cases out and checks them: ids unique and with an area, a title, a requirement. */
enum nvc_result registry_load(struct nvc_error *err);

/* registry_teardown returns what has to become of the connection of a case, never TEARDOWN_STATED: where the case does not say, what the
 * first requirement says, and where the specification leaves that open, anything. */
enum teardown registry_teardown(const struct test_case *test_case);

/* registry_silence returns why anything may become of the connection of a case for which registry_teardown returns TEARDOWN_ANY. */
const char *registry_silence(const struct test_case *test_case);

/* registry_next iterates in the order of ids; start with NULL. */
const struct instance *registry_next(const struct instance *previous);

/* registry_find returns the instance of an exact id, or NULL. */
const struct instance *registry_find(const char *id);

#endif
