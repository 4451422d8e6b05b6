/* SPDX-License-Identifier: BSD-3-Clause */
/* Running one case: what it may call, and the verdict that comes out. */
#include "harness/engine/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/engine/evidence.h"
#include "harness/engine/identity.h"
#include "harness/engine/pace.h"

enum {
	OPEN_AFTER_FAIL_MS = 100,
	LITTLE_WORK_SHARE = 3,
};

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[NUM_VERDICTS] = {
		"none", "pass", "warn", "fail", "skip", "inconclusive", "error"};

	return (unsigned int)verdict < NUM_VERDICTS ? names[verdict] : "?";
}

bool test_running(const struct test *t)
{
	return t->verdict == VERDICT_NONE;
}

/* Whatever is said about a requirement passes here. REQ_NONE: the first of the case. Returns which one it is. */
static enum req_id note_judged(struct test *t, enum req_id req)
{
	const enum req_id judged = req == REQ_NONE ? t->instance->test_case->checks[0] : req;

	t->judged[judged] = true;
	return judged;
}

static bool judged_anything(const struct test *t)
{
	for (int req = REQ_NONE + 1; req < NUM_REQS; req++)
		if (t->judged[req])
			return true;
	return false;
}

/* The first verdict wins: what follows a failed step is a consequence of it. */
static void stop(struct test *t, enum verdict verdict, enum req_id req, const char *expected,
	const char *format, va_list args)
{
	if (!test_running(t))
		return;
	t->verdict = verdict;
	t->requirement = verdict == VERDICT_FAIL || verdict == VERDICT_WARN
				 ? note_judged(t, req)
				 : t->instance->test_case->checks[0];
	snprintf(t->expected, sizeof(t->expected), "%s", expected);
	vsnprintf(t->seen, sizeof(t->seen), format, args);
	t->first_packet = evidence_step_packet(t);
}

void test_step(struct test *t, const char *format, ...)
{
	char text[320];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	evidence_step(t, text);
}

void test_judged(struct test *t, enum req_id req, const char *format, ...)
{
	char text[320];
	va_list args;

	if (!test_running(t))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	evidence_judged(t, note_judged(t, req), text);
}

void test_violated(struct test *t, enum req_id req, const char *expected, const char *format, ...)
{
	const struct nvc_requirement *row =
		nvc_requirement(req == REQ_NONE ? t->instance->test_case->checks[0] : req);
	bool blames = row->level == NVC_LEVEL_SHALL || row->level == NVC_LEVEL_OWN ||
		      row->level == NVC_LEVEL_SHOULD;
	char text[320], why[400];
	va_list args;

	if (!test_running(t))
		return;
	va_start(args, format);
	if (blames && pace_excuses(t, why, sizeof(why))) {
		vsnprintf(text, sizeof(text), format, args);
		va_end(args);
		test_inconclusive(t, "%s; %s", text, why);
		return;
	}
	t->answer_lost = blames && pace_unopened(t);
	switch (row->level) {
	case NVC_LEVEL_SHALL:
	case NVC_LEVEL_OWN:
		stop(t, VERDICT_FAIL, req, expected, format, args);
		break;
	case NVC_LEVEL_SHOULD:
		stop(t, VERDICT_WARN, req, expected, format, args);
		break;
	default:
		vsnprintf(text, sizeof(text), format, args);
		evidence_observation(t, note_judged(t, req), expected, text, 0, 0);
	}
	va_end(args);
}

#define STOP_WITH(verdict, req, expected)                                                          \
	do {                                                                                       \
		va_list args;                                                                      \
		va_start(args, format);                                                            \
		stop(t, verdict, req, expected, format, args);                                     \
		va_end(args);                                                                      \
	} while (0)

void test_skip(struct test *t, const char *format, ...)
{
	STOP_WITH(VERDICT_SKIP, REQ_NONE, "");
}

void test_inconclusive(struct test *t, const char *format, ...)
{
	STOP_WITH(VERDICT_INCONCLUSIVE, REQ_NONE, "");
}

void test_error(struct test *t, const char *format, ...)
{
	STOP_WITH(VERDICT_ERROR, REQ_NONE, "");
}

void test_answer_lost(
	struct test *t, enum req_id req, const char *expected, const char *format, ...)
{
	if (!test_running(t))
		return;
	t->answer_lost = true;
	STOP_WITH(VERDICT_FAIL, req, expected);
}

void test_completion_lost(struct test *t, const char *format, ...)
{
	if (!test_running(t))
		return;
	t->answer_lost = true;
	STOP_WITH(VERDICT_INCONCLUSIVE, REQ_NONE, "");
}

void test_observed(struct test *t, enum req_id req, const char *format, ...)
{
	char text[320];
	va_list args;

	if (!test_running(t))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	evidence_observation(t, note_judged(t, req), "", text, 0, 0);
}

bool test_explains(const struct test *t)
{
	const bool begun_anew = t->answer_lost && !t->last_attempt && !t->reference;

	return t->verdict == VERDICT_FAIL && !begun_anew && evidence_told(t);
}

void test_source(struct test *t, const char *line)
{
	evidence_source(t, line);
}

void test_watch(struct test *t, struct nvc_queue *queue)
{
	if (test_running(t))
		t->watched = queue;
}

struct nvc_queue *test_watched(const struct test *t)
{
	return t->watched;
}

void test_turned_away(struct test *t, enum nvc_end end)
{
	if (test_running(t))
		t->turned_away = end;
}

struct nvc_host *test_host(struct test *t)
{
	return &t->hosts[0];
}

bool test_is_virtual(const struct test *t)
{
	return t->reference != NULL;
}

struct nvc_auth *test_auth(struct test *t)
{
	static struct nvc_auth none;

	if (t->num_transactions == MAX_TRANSACTIONS) {
		test_error(t, "the case uses more than %d transactions at once", MAX_TRANSACTIONS);
		return &none;
	}
	return &t->transactions[t->num_transactions++];
}

uint64_t test_end_bound(const struct test *t)
{
	/* TCP Transport 1.0 3.5.1.1 gives 30 s after a TermReq; in real time nobody waits that long for a target which
	 * closes, as a rule, at once. */
	return test_is_virtual(t) ? NVC_SEC(35) : pace_wait(t->run, NVC_SEC(8));
}

void test_little_work(struct test *t, struct nvc_queue *queue)
{
	if (queue && !test_is_virtual(t))
		nvc_queue_set_timeout(
			queue, pace_wait(t->run, t->run->timeout / LITTLE_WORK_SHARE));
}

size_t test_memory(const struct test *t)
{
	return t->reference ? reference_memory(t->reference) : 0;
}

size_t test_block_len(const struct test *t)
{
	return t->run->capabilities.block_len;
}

const char *test_port(const struct test *t, const char *kind)
{
	const struct profile *profile = &t->run->profile;
	const char *port = strcmp(kind, "concat") == 0 ? profile->port_concat
			   : strcmp(kind, "tls") == 0  ? profile->port_tls
						       : profile->port_plain;

	return port[0] ? port : NULL;
}

static void set_up_host(const struct test *t, const struct nvc_world *world, struct nvc_host *host)
{
	const struct profile *profile = &t->run->profile;
	const char *const ports[NVC_NUM_PORT_KINDS] = {
		[NVC_PORT_MAIN] = profile->port_concat,
		[NVC_PORT_PLAIN_ONLY] = profile->port_plain,
		[NVC_PORT_TLS_ONLY] = profile->port_tls,
	};

	nvc_host_init(host, world);
	for (int kind = 0; kind < NVC_NUM_PORT_KINDS; kind++)
		host->addresses[kind] =
			(struct nvc_address){profile->addr, ports[kind][0] ? ports[kind] : NULL};
	host->subnqn = profile->subnqn;
	host->hostnqn = profile->hosts[t->default_identity].hostnqn;
	host->timeout = pace_wait(t->run, t->run->timeout);
	if (t->run->capabilities.block_len)
		host->block_len = t->run->capabilities.block_len;
	host->fault = t->run->fault;
	if (t->run->has_kato)
		host->kato = t->run->kato;
	host->ic.dgst = (uint8_t)((t->run->hdr_digest ? NVC_DGST_HEADER : 0) |
				  (t->run->data_digest ? NVC_DGST_DATA : 0));
}

struct nvc_host *test_second_host(struct test *t)
{
	if (t->num_hosts == MAX_HOSTS) {
		test_error(t, "the case uses more than %d hosts", MAX_HOSTS);
		return &t->hosts[0];
	}
	t->identities[t->num_hosts] = -1;
	set_up_host(t, &t->world, &t->hosts[t->num_hosts]);
	evidence_attach(t, &t->hosts[t->num_hosts]);
	return &t->hosts[t->num_hosts++];
}

static void free_fresh(struct test *t)
{
	nvc_host_fini(&t->fresh.host);
	reference_free(t->fresh.reference);
	memset(&t->fresh, 0, sizeof(t->fresh));
}

struct nvc_host *test_fresh_host(struct test *t, const struct nvc_host *like)
{
	const struct profile *profile = &t->run->profile;
	const int identity = t->identities[like - t->hosts];

	free_fresh(t);
	t->fresh.world = t->world;
	if (t->reference) {
		t->fresh.reference = reference_new(
			profile, &t->run->target, t->run->seed, &(struct nvc_error){0});
		if (!t->fresh.reference)
			return NULL;
		t->fresh.world = reference_world(t->fresh.reference);
	}
	set_up_host(t, &t->fresh.world, &t->fresh.host);
	if (identity >= 0)
		probe_act_as(&t->fresh.host, profile, &profile->hosts[identity]);
	return &t->fresh.host;
}

static enum verdict teardown_level(const struct test *t)
{
	const struct nvc_requirement *row = nvc_requirement(t->instance->test_case->checks[0]);

	return row->level == NVC_LEVEL_SHALL || row->level == NVC_LEVEL_OWN ? VERDICT_FAIL
									    : VERDICT_WARN;
}

/* Why nothing is said of how the connection ended, or NULL. */
static const char *no_teardown(const struct test *t)
{
	if (t->verdict != VERDICT_PASS && t->verdict != VERDICT_FAIL && t->verdict != VERDICT_WARN)
		return "the case did not come to its end";
	if (registry_teardown(t->instance->test_case) == TEARDOWN_ANY)
		return registry_silence(t->instance->test_case);
	if (!t->watched && t->turned_away == NVC_END_OPEN)
		return "no connection came to be";
	return NULL;
}

static struct teardown_verdict look_at_teardown(struct test *t)
{
	enum teardown wanted = registry_teardown(t->instance->test_case);
	struct teardown_verdict out = {
		.verdict = VERDICT_NONE, .seen = "", .reason = no_teardown(t)};
	struct nvc_completion done;
	enum nvc_end end;

	if (out.reason)
		return out;
	if (!t->watched) {
		bool met = wanted == TEARDOWN_CLOSED;

		out.expected = met ? "ended by the target" : "still open and usable";
		out.verdict = met ? VERDICT_PASS : teardown_level(t);
		out.seen = nvc_end_name(t->turned_away);
		return out;
	}
	if (wanted == TEARDOWN_CLOSED) {
		/* Where the behaviour is already wrong, an open connection is its consequence and no reason to wait long. */
		uint64_t bound = t->verdict != VERDICT_PASS && !test_is_virtual(t)
					 ? NVC_MS(OPEN_AFTER_FAIL_MS)
					 : test_end_bound(t);
		out.expected = "ended by the target";
		if (nvc_queue_await_end(t->watched, bound, &end, NULL) == NVC_OK) {
			out.verdict = VERDICT_PASS;
			out.seen = nvc_end_name(end);
		} else {
			out.verdict = teardown_level(t);
			out.seen = "still open";
		}
		return out;
	}
	out.expected = "still open and usable";
	if (nvc_queue_usable(t->watched, 0, &done, NULL) == NVC_OK) {
		out.verdict = VERDICT_PASS;
		out.seen = "still open and usable";
	} else {
		end = nvc_queue_info(t->watched)->end;
		out.verdict = teardown_level(t);
		out.seen = end == NVC_END_OPEN ? "open, but not usable" : nvc_end_name(end);
	}
	return out;
}

/* The second verdict: what became of the connection. Judged apart, never merged with the first. */
static struct teardown_verdict judge_teardown(struct test *t)
{
	struct teardown_verdict out = look_at_teardown(t);
	static char seen[480];
	char why[400];

	if ((out.verdict == VERDICT_FAIL || out.verdict == VERDICT_WARN) &&
		pace_excuses(t, why, sizeof(why))) {
		snprintf(seen, sizeof(seen), "%s; %s", out.seen, why);
		out.verdict = VERDICT_INCONCLUSIVE;
		out.seen = seen;
	}
	return out;
}

/* False when a need is not met: then the case is skipped with the probe's finding. */
static void check_needs(struct test *t)
{
	const struct test_case *test_case = t->instance->test_case;
	const struct capabilities *caps = &t->run->capabilities;

	if (!t->run->profile.port_concat[0] &&
		!(test_case->needs & (NEED_TLS_ONLY_PORT | NEED_TLS_PSK)))
		test_skip(t, "no port that serves plain TCP is given");
	for (unsigned int i = 0; i < NUM_NEEDS; i++)
		if (test_case->needs & 1u << i && !(caps->met & 1u << i))
			test_skip(t, "%s", caps->finding[i]);
	if (test_case->slow && !test_is_virtual(t) && !t->run->slow)
		test_skip(t, "waits long in real time; --slow runs it");
}

static bool set_up(struct test *t, struct nvc_error *err)
{
	struct reference_options options = t->run->target;

	t->transactions = calloc(MAX_TRANSACTIONS, sizeof(*t->transactions));
	if (!t->transactions || !evidence_open(t)) {
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory for the case");
		return false;
	}
	if (t->run->reference) {
		options.log = evidence_log;
		options.log_self = t;
		t->reference = reference_new(&t->run->profile, &options, t->run->seed, err);
		if (!t->reference)
			return false;
		t->world = reference_world(t->reference);
	} else {
		t->random = nvc_seeded_new(t->run->seed, t->instance->id);
		t->world = nvc_world_system(t->random);
	}
	t->num_hosts = 0;
	identity_default(t);
	test_second_host(t);
	return true;
}

static void tear_down(struct test *t)
{
	for (size_t i = 0; i < t->num_transactions; i++)
		nvc_auth_fini(&t->transactions[i]);
	for (size_t i = 0; i < t->num_hosts; i++)
		nvc_host_fini(&t->hosts[i]);
	free_fresh(t);
	identity_release_all(t);
	reference_free(t->reference);
	nvc_seeded_free(t->random);
	free(t->transactions);
	evidence_close(t);
}

bool test_run(const struct run_config *run, const struct instance *instance, struct test_how how)
{
	struct test *t = calloc(1, sizeof(*t));
	struct teardown_verdict teardown = {.verdict = VERDICT_NONE, .seen = ""};
	struct nvc_error err = {0};
	bool good;

	if (!t)
		return false;
	t->run = run;
	t->instance = instance;
	t->out = how.out;
	t->last_attempt = how.last_attempt;
	t->shared = how.shared;
	if (!set_up(t, &err))
		test_error(t, "%s", err.text);
	check_needs(t);
	if (test_running(t))
		instance->test_case->run(t, instance->param ? instance->param->value : NULL);
	if (test_running(t) && !judged_anything(t))
		test_error(t, "the case ended without judging anything");
	if (test_running(t))
		t->verdict = VERDICT_PASS;
	teardown = judge_teardown(t);
	evidence_verdict(t, &teardown);
	good = t->verdict != VERDICT_FAIL && t->verdict != VERDICT_ERROR &&
	       teardown.verdict != VERDICT_FAIL;
	tear_down(t);
	free(t);
	return good;
}
