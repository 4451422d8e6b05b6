/* SPDX-License-Identifier: BSD-3-Clause */
/* A walk over a live target: where it stands, and what it came upon. Judged in suites/robustness.c. */
#ifndef NVC_SUITES_WALK_STEPS_H
#define NVC_SUITES_WALK_STEPS_H

#include "suites/case.h"
#include "suites/walk.h"

/* A connection of the walk and what the host knows of it. */
struct place {
	struct nvc_queue *queue; /* NULL: none */
	struct nvc_auth auth;
	bool proved;	   /* a right Reply has gone out on this queue */
	bool right;	   /* ... in this transaction */
	enum req_id wrong; /* what a Success1 would violate */
	bool failed;	   /* AUTH_Failure1 came in this transaction, and no Success1 */
	bool settled;	   /* ... or Success1 */
	bool gave_up;	   /* a step was not answered; later ones are not tried */
};

struct walker {
	struct test *t;
	struct nvc_host *host;
	bool quiet; /* a replay: nothing goes into the transcript */
	struct place at[NUM_WALK_SLOTS];
	/* what must not have succeeded; REQ_NONE: nothing did */
	enum req_id req;
	enum walk_proof proof;
	const char *expected;
	char seen[200];
	size_t found_at;
	/* how often it could have */
	unsigned int num_wrong, num_undue, num_gated;
};

/* walk_found records what must not have been, unless something was found before. `seen` is copied, `expected` is not. */
void walk_found(struct walker *w, enum req_id req, enum walk_proof proof, const char *expected,
	const char *seen);

/* walk_take takes the steps until one of them succeeds that must not, and leaves all connections. */
void walk_take(struct walker *w, const struct walk_step *steps, size_t num);

#endif
