/* SPDX-License-Identifier: BSD-3-Clause */
/* The reference target set up for a profile, in a simulated world. */
#ifndef NVC_ENGINE_REFERENCE_H
#define NVC_ENGINE_REFERENCE_H

#include "harness/engine/profile.h"
#include "stream/sim.h"
#include "target/target.h"

enum { MAX_DEFECTS = 16 };

struct reference_options {
	char defects[MAX_DEFECTS][64];
	size_t num_defects;
	bool concat_required; /* every host with a secret must concatenate (ASCR=1) */
	/* Why the target did what it did, line by line; NULL: nobody asks. */
	void (*log)(void *self, const char *text);
	void *log_self;
	/* Takes the exponents of its Challenges, as lines of a key log; NULL: nobody does. */
	void (*keylog)(void *self, const char *line);
	void *keylog_self;
};

/* reference_target makes the target of `profile`: its identities, PSKs and ports, concatenation permitted on the first port.
 * Freed by nvc_target_free. NULL with `err` filled. */
struct nvc_target *reference_target(const struct profile *profile,
	const struct reference_options *options, const struct nvc_env *env, struct nvc_error *err);

/* A target in a world of its own. */
struct reference;
/* reference_new makes both; NULL with `err` filled. Freed by reference_free (NULL is allowed). */
struct reference *reference_new(const struct profile *profile,
	const struct reference_options *options, uint64_t seed, struct nvc_error *err);
void reference_free(struct reference *reference);
struct nvc_world reference_world(struct reference *reference);
size_t reference_memory(const struct reference *reference);
/* reference_reached tells whether defect `index` could have made a difference to what the target did (nvc_target_defect_reached). */
bool reference_reached(const struct reference *reference, size_t index);

#endif
