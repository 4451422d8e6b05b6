/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Seeded, bounded random walks over a live target. Whatever the target answers on the way is its own affair; judged is that
 * nothing opens that must stay shut, and that the right host is served afterwards.
 */
#include "suites/steps.h"

#include <stdio.h>

#include "suites/steps_internal.h"
#include "suites/walk_steps.h"

enum {
	STEP_TIMEOUT_S = 1,
	MAX_REPLAYS = 150,
	MAX_REAL_REPLAYS = 40,
	SHRINK_TIMEOUT_S = 60, /* real time of all replays */
};

static void take(struct walker *w, const struct walk_step *steps, size_t num)
{
	const uint64_t timeout = w->host->timeout;

	if (timeout > NVC_SEC(STEP_TIMEOUT_S))
		w->host->timeout = NVC_SEC(STEP_TIMEOUT_S);
	walk_take(w, steps, num);
	w->host->timeout = timeout;
}

static bool is_served(struct nvc_host *host)
{
	struct nvc_queue *queue = NULL;
	const bool served =
		nvc_host_admin(host, NULL, NVC_AUTH_UNIDIRECTIONAL, &queue, NULL, NULL) == NVC_OK;

	nvc_queue_free(queue);
	return served;
}

struct shrinking {
	const struct walker *first;
	uint64_t until;
	bool over; /* a real target has no time left, or still does not serve the host: nothing can be seen on it */
};

/* For walk_shrink: the same requirement is violated by fewer steps. */
static bool still_fails(void *self, const struct walk_step *steps, size_t num)
{
	struct shrinking *shrinking = self;
	const struct walker *first = shrinking->first;
	const bool by_service = first->proof == WALK_BY_SERVICE, real = !test_is_virtual(first->t);
	struct walker w = {.t = first->t, .quiet = true};

	if (shrinking->over || !(w.host = test_fresh_host(first->t, first->host)))
		return false;
	shrinking->over = real && (nvc_env_now(&w.host->world->env) > shrinking->until ||
					  (by_service && !is_served(w.host)));
	if (shrinking->over)
		return false;
	take(&w, steps, num);
	if (by_service && w.req == REQ_NONE && !is_served(w.host))
		walk_found(&w, first->req, WALK_BY_SERVICE, "", "");
	return w.req == first->req;
}

static void print_line(void *self, const char *text)
{
	test_source(self, text);
}

/* Leaves the shortest walk that ends in the same verdict, as a case. */
static void explain(struct walker *w, struct walk_step *steps, const char *identity)
{
	struct shrinking shrinking = {
		.first = w, .until = nvc_env_now(&w->host->world->env) + NVC_SEC(SHRINK_TIMEOUT_S)};
	size_t num = w->found_at + 1;
	char text[120];
	bool again;

	if (!test_explains(w->t))
		return;
	walk_found(w, REQ_N_002, WALK_BY_SERVICE, "", "");
	again = still_fails(&shrinking, steps, num);
	if (again)
		num = walk_shrink(steps, num,
			test_is_virtual(w->t) ? MAX_REPLAYS : MAX_REAL_REPLAYS, still_fails,
			&shrinking);
	snprintf(text, sizeof(text), "/* %s: %zu steps. */",
		again ? "The shortest walk found that shows it"
		      : "The whole walk; it could not be taken again",
		num);
	test_source(w->t, text);
	walk_print(
		steps, num, identity, nvc_requirement(w->req)->symbol, w->proof, print_line, w->t);
}

static void judge(const struct walker *w)
{
	if (w->req != REQ_NONE)
		test_violated(w->t, w->req, w->expected, "%s", w->seen);
	if (w->num_wrong)
		test_judged(w->t, REQ_C_135, "%u wrong Replies, no Success1", w->num_wrong);
	if (w->num_gated)
		test_judged(w->t, REQ_C_072, "%u commands before authentication, none served",
			w->num_gated);
	if (w->num_undue)
		test_judged(w->t, REQ_C_193, "%u PSKs of failed transactions, no TLS session",
			w->num_undue);
}

/* The opening bracket: a target that never served the right host is not blamed for what the walk did to it. */
static void served_before(struct test *t, struct nvc_host *host)
{
	struct nvc_error err = {0};
	struct nvc_queue *queue = NULL;
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_step(t, "an association before the walk");
	result = nvc_host_admin(host, NULL, NVC_AUTH_UNIDIRECTIONAL, &queue, NULL, &err);
	if (result != NVC_OK)
		not_reached(t, "the right host is not served before the walk", result, err.text);
	nvc_queue_free(queue);
}

static const struct case_param walks[] = {{"1", {1, 0}}, {"2", {2, 0}}, {"3", {3, 0}},
	{"4", {4, 0}}, {"5", {5, 1}}, {"6", {6, 1}}, {"7", {7, 1}}, {"8", {8, 1}}, {NULL, {0}}};

CASE(walk_case, .id = "robustness.walk",
	.title = "Whatever a host does, nothing opens that must stay shut and the right host is "
		 "served",
	.checks = {REQ_N_002, REQ_C_135, REQ_C_072, REQ_C_193}, .needs = NEED_AUTH, .params = walks,
	.timeout_s = 120)
{
	struct nvc_host *host = host_as(t, param[1] ? ORDINARY_BIDI : ORDINARY);
	struct walker w = {.t = t, .host = host};
	struct walk_step steps[WALK_STEPS];
	uint64_t seed;

	served_before(t, host);
	if (!test_running(t))
		return;
	nvc_env_random(&host->world->env, &seed, sizeof(seed));
	seed += (uint64_t)param[0] << 32;
	walk_generate(seed, steps, WALK_STEPS);
	take(&w, steps, WALK_STEPS);
	judge(&w);
	expect_new_association(t, REQ_N_002, host);
	explain(&w, steps, param[1] ? "ORDINARY_BIDI" : "ORDINARY");
}
