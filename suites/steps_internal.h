/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files behind suites/steps.h share. Not for cases. */
#ifndef NVC_SUITES_STEPS_INTERNAL_H
#define NVC_SUITES_STEPS_INTERNAL_H

#include "suites/steps.h"

/* tester_fault tells whether a result speaks of us and not of the target. */
bool tester_fault(enum nvc_result result);
/* not_reached ends the case because a step it needs did not succeed: `error` for our own faults, else `inconclusive`. */
void not_reached(struct test *t, const char *what, enum nvc_result result, const char *text);
/* unanswered judges a missing answer: an ended connection is a violation, silence only when the target is alive elsewhere. */
void unanswered(struct test *t, enum req_id req, struct nvc_host *host, const char *expected,
	enum nvc_result result, const char *text);
/* target_alive tells whether a fresh connection is answered (ICResp, or a TLS handshake under the newest PSK). */
bool target_alive(struct nvc_host *host);
/* handshake_lost tells whether a connection over TLS that could not be opened was ended in its handshake, and the next handshake completes. */
bool handshake_lost(
	struct nvc_host *host, const struct nvc_queue_options *options, enum nvc_result result);
bool code_accepted(struct codes codes, uint16_t code);

#endif
