/* SPDX-License-Identifier: BSD-3-Clause */
/* One process that Check forks and guards, and what comes out of it: a verdict and the events before it. */
#ifndef NVC_ENGINE_ATTEMPT_H
#define NVC_ENGINE_ATTEMPT_H

#include <jansson.h>

#include "harness/engine/test.h"

/* What a case left: both are owned by whoever asked for it. */
struct attempt {
	json_t *verdict; /* the event; NULL where a batch came to none */
	json_t *lines;	 /* array of the events before it */
	bool rescued;	 /* the process came to no verdict; this one is the engine's own */
	double duration_ms;
};

/*
 * attempt_run runs one case in a process of its own. A crash, a time-out and an end without verdict become the verdicts they are; what
 * Check and the case do not agree about is an error. NVC_E_SYSTEM when there was no file for the events.
 */
enum nvc_result attempt_run(const struct run_config *run, const struct instance *instance,
	bool last_attempt, struct attempt *out, struct nvc_error *err);

/*
 * attempt_batch runs `num` cases one after the other in one process, which costs a fifth of as many processes, and tells no
 * conversation. `out` has room for `num`. Where the process did not get to the end of a case, its attempt has no verdict, nor have those
 * behind it: a process which others have used never judges the one that died in it. Where it came to the end of all and then failed, none
 * has. NVC_E_SYSTEM as above.
 */
enum nvc_result attempt_batch(const struct run_config *run, const struct instance *const *instances,
	size_t num, struct attempt *out, struct nvc_error *err);

/* attempt_drop releases what `attempt` holds. */
void attempt_drop(struct attempt *attempt);

#endif
