/* SPDX-License-Identifier: BSD-3-Clause */
/* What a case leaves behind: its steps, packets, observations and verdict, as events. */
#ifndef NVC_ENGINE_EVIDENCE_H
#define NVC_ENGINE_EVIDENCE_H

#include "harness/engine/test.h"

struct teardown_verdict {
	enum verdict verdict; /* VERDICT_NONE: not judged */
	const char *expected, *seen;
	const char *reason; /* why it is not judged */
};

/* evidence_open attaches an observer to the case; false without memory. */
bool evidence_open(struct test *t);
void evidence_close(struct test *t);
/* evidence_attach shows everything `host` does to the observer. */
void evidence_attach(struct test *t, struct nvc_host *host);
/* evidence_step_packet returns the number of the first packet after the last step began. */
unsigned int evidence_step_packet(const struct test *t);
/* evidence_told tells whether the conversation of the case is told. */
bool evidence_told(const struct test *t);
/* evidence_source adds a line to the case that the verdict brings along. */
void evidence_source(struct test *t, const char *line);
void evidence_step(struct test *t, const char *text);
void evidence_judged(struct test *t, enum req_id req, const char *text);
void evidence_observation(struct test *t, enum req_id req, const char *expected, const char *seen,
	unsigned int packet, unsigned int connection);
void evidence_verdict(struct test *t, const struct teardown_verdict *teardown);
/* evidence_log takes lines of the reference target; `t` is the running test. */
void evidence_log(void *t, const char *text);

#endif
