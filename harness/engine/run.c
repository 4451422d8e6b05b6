/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/engine/attempt.h"
#include "harness/engine/events.h"
#include "harness/engine/liveness.h"
#include "harness/engine/test.h"

enum {
	MAX_ATTEMPTS =
		5, /* Linux loses up to 12 % of its AUTH_Failure1: five losses in a row are 1 in 40,000 */
	MAX_SELECTED = 4096,
	MAX_BATCH = 64,
};

/* Writes the packets of a case when its verdict asks for them; a case whose process did not come to a verdict always does. */
static void write_capture(const struct instance *instance, struct attempt *attempt)
{
	struct nvc_error why = {0};
	const char *path;

	if (attempt->rescued ? !capture_wanted(false)
			     : !json_is_true(json_object_get(attempt->verdict, "capture")))
		return;
	if (attempt->rescued)
		capture_at(0, "%s: verdict %s: %s", instance->id,
			json_string_value(json_object_get(attempt->verdict, "behaviour")),
			json_string_value(json_object_get(attempt->verdict, "reason")));
	path = capture_write(instance->id, &why);
	json_object_del(attempt->verdict, "capture");
	if (path)
		json_object_set_new(attempt->verdict, "capture", events_text(path));
	else
		json_array_append_new(attempt->lines,
			json_pack("{s:s, s:s, s:o, s:i}", "event", "log", "case", instance->id,
				"text", events_text(why.text), "packet", 0));
}

static bool is(const json_t *event, const char *member, const char *text)
{
	const char *value = json_string_value(json_object_get(event, member));

	return value && strcmp(value, text) == 0;
}

static bool clean(const struct attempt *attempt)
{
	return (is(attempt->verdict, "behaviour", "pass") ||
		       is(attempt->verdict, "behaviour", "skip")) &&
	       (is(attempt->verdict, "teardown", "pass") ||
		       is(attempt->verdict, "teardown", "none"));
}

static void forward(const struct run_config *run, const struct attempt *attempt)
{
	bool whole = run->transcript == TRANSCRIPT_ALL || !clean(attempt);
	size_t i;
	json_t *event;

	json_array_foreach(attempt->lines, i, event) whole =
		whole || is(event, "event", "observation");
	json_array_foreach(attempt->lines, i, event) if (whole || is(event, "event", "fresh"))
		events_write(STDOUT_FILENO, json_incref(event));
	json_object_set_new(attempt->verdict, "duration_ms", json_real(attempt->duration_ms));
	events_write(STDOUT_FILENO, json_incref(attempt->verdict));
}

/* Against a real target a case is begun anew when its answer was lost, or when another engine held the identities it needs. */
static bool begin_anew(const struct run_config *run, const struct attempt *attempt, int number)
{
	return !run->reference && number < MAX_ATTEMPTS &&
	       (json_is_true(json_object_get(attempt->verdict, "answer_lost")) ||
		       json_is_true(json_object_get(attempt->verdict, "turn_missed")));
}

/* Runs a case until it needs not be begun anew. */
static enum nvc_result attempt_case(const struct run_config *run, const struct instance *instance,
	struct attempt *attempt, struct nvc_error *err)
{
	double duration_ms = 0;
	int lost = 0;

	for (int number = 1;; number++) {
		enum nvc_result result;
		int turn;
		capture_begin(&run->captures, run->reference);
		turn = turns_enter(&run->turns, false);
		result = attempt_run(run, instance, number == MAX_ATTEMPTS, attempt, err);
		turns_leave(turn);
		if (result == NVC_OK)
			write_capture(instance, attempt);
		capture_end();
		duration_ms += attempt->duration_ms;
		if (result != NVC_OK || !begin_anew(run, attempt, number)) {
			attempt->duration_ms = duration_ms;
			if (lost)
				json_object_set_new(
					attempt->verdict, "answers_lost", json_integer(lost));
			return result;
		}
		lost += json_is_true(json_object_get(attempt->verdict, "answer_lost"));
		attempt_drop(attempt);
	}
}

/* A case that other cases have changed, or the tester's memory, is nobody's verdict. */
static void compare(json_t *alone, const json_t *shared)
{
	static const char *const members[] = {"behaviour", "teardown"};
	char reason[200];

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const char *value = json_string_value(json_object_get(shared, members[i]));
		if (!value || is(alone, members[i], value))
			continue;
		snprintf(reason, sizeof(reason),
			"%s is %s in a process of its own and %s after other cases", members[i],
			json_string_value(json_object_get(alone, members[i])), value);
		json_object_set_new(alone, "behaviour", json_string("error"));
		json_object_set_new(alone, "reason", json_string(reason));
		return;
	}
}

/* Whatever has something to explain, and what came to no end among others, is run again in a process of its own. */
static enum nvc_result settle(const struct run_config *run, const struct instance *instance,
	struct attempt *attempt, struct nvc_error *err)
{
	struct attempt shared = *attempt;
	enum nvc_result result;

	if (shared.verdict && (run->transcript == TRANSCRIPT_NONE ||
				      (clean(&shared) && json_array_size(shared.lines) == 0)))
		return NVC_OK;
	result = attempt_case(run, instance, attempt, err);
	if (result == NVC_OK && shared.verdict)
		compare(attempt->verdict, shared.verdict);
	attempt_drop(&shared);
	return result;
}

/* Runs the cases from `selected[0]` on that share a process, at least one; returns their number in `num_run`, and whether they left
 * nothing to explain. */
static enum nvc_result run_next(const struct run_config *run,
	const struct instance *const *selected, size_t num, size_t *num_run, bool *all_clean,
	struct nvc_error *err)
{
	struct attempt attempts[MAX_BATCH] = {0};
	enum nvc_result result = NVC_OK;
	size_t batch = num < run->batch ? num : run->batch;

	if (batch > 1)
		result = attempt_batch(run, selected, batch, attempts, err);
	*all_clean = true;
	for (*num_run = 0; result == NVC_OK && *num_run < batch; (*num_run)++) {
		struct attempt *attempt = &attempts[*num_run];
		events_write(STDOUT_FILENO, json_pack("{s:s, s:s}", "event", "case-start", "case",
						    selected[*num_run]->id));
		result = settle(run, selected[*num_run], attempt, err);
		if (result != NVC_OK)
			break;
		forward(run, attempt);
		*all_clean = *all_clean && clean(attempt);
	}
	for (size_t i = 0; i < batch; i++)
		attempt_drop(&attempts[i]);
	return result;
}

/* ---- configuration ---- */

static enum nvc_result read_fault(const char *name, struct run_config *run, struct nvc_error *err)
{
	if (!name || strcmp(name, "none") == 0)
		return NVC_OK;
	if (strcmp(name, "split") == 0)
		run->fault.max_segment = 1;
	else if (strcmp(name, "merge") == 0)
		run->fault.merge = true;
	else if (strcmp(name, "delay") == 0)
		run->fault.delay = NVC_MS(20);
	else if (strcmp(name, "tls-records") == 0)
		run->fault.record_len = NVC_RECORDS_MIXED;
	else if (strcmp(name, "split+digests") == 0) {
		run->fault.max_segment = 1;
		run->hdr_digest = run->data_digest = true;
	} else
		return nvc_fail(err, NVC_E_INVALID,
			"no stream fault is named '%s'; there are none, split, merge, delay, "
			"tls-records, split+digests",
			name);
	return NVC_OK;
}

static enum nvc_result read_defects(
	const json_t *config, struct run_config *run, struct nvc_error *err)
{
	const json_t *value;
	size_t i;

	json_array_foreach(json_object_get(config, "defects"), i, value)
	{
		const char *name = json_string_value(value);
		if (!name || strlen(name) >= sizeof(run->target.defects[0]) ||
			run->target.num_defects == MAX_DEFECTS)
			return nvc_fail(
				err, NVC_E_INVALID, "defects: at most %d names", MAX_DEFECTS);
		strcpy(run->target.defects[run->target.num_defects++], name);
	}
	if (run->target.num_defects && !run->reference)
		return nvc_fail(
			err, NVC_E_INVALID, "a defect can only be given to the reference target");
	return NVC_OK;
}

/* A KATO of the run's own: seconds, as nvme-cli has it. */
static enum nvc_result read_kato(
	const json_t *config, struct run_config *run, struct nvc_error *err)
{
	const json_t *kato = json_object_get(config, "keep_alive_tmo");
	json_int_t seconds = json_integer_value(kato);

	if (!json_is_integer(kato))
		return NVC_OK;
	if (seconds < 0 || seconds > UINT32_MAX / 1000)
		return nvc_fail(err, NVC_E_INVALID,
			"keep_alive_tmo: not a number of seconds from 0 to %u", UINT32_MAX / 1000);
	run->has_kato = true;
	run->kato = (uint32_t)seconds * 1000;
	return NVC_OK;
}

static enum nvc_result read_batch(
	const json_t *config, struct run_config *run, struct nvc_error *err)
{
	const json_t *batch = json_object_get(config, "batch");
	json_int_t num = json_is_integer(batch) ? json_integer_value(batch) : 1;

	if (num < 1 || num > MAX_BATCH)
		return nvc_fail(err, NVC_E_INVALID, "batch: not a number from 1 to %d", MAX_BATCH);
	if (num > 1 && (!run->reference || run->captures.mode == CAPTURE_ALL ||
			       run->captures.has_keylog || run->transcript == TRANSCRIPT_ALL))
		return nvc_fail(err, NVC_E_INVALID,
			"batch: only for the reference target in process, without all captures and "
			"conversations");
	run->batch = (size_t)num;
	return NVC_OK;
}

static enum nvc_result read_config(
	const json_t *config, struct run_config *run, struct nvc_error *err)
{
	const json_t *target = json_object_get(config, "target");
	json_int_t timeout = json_integer_value(json_object_get(config, "timeout_s"));
	enum nvc_result result;

	memset(run, 0, sizeof(*run));
	run->seed = (uint64_t)json_integer_value(json_object_get(config, "seed"));
	run->timeout = NVC_SEC(timeout > 0 ? timeout : 10);
	run->case_timeout_s = 60;
	run->hdr_digest = json_is_true(json_object_get(config, "hdr_digest"));
	run->data_digest = json_is_true(json_object_get(config, "data_digest"));
	run->slow = json_is_true(json_object_get(config, "slow"));
	run->settle =
		NVC_MS((uint64_t)json_integer_value(json_object_get(config, "settle_ms")) % 60000);
	run->transcript = is(config, "transcript", "all")    ? TRANSCRIPT_ALL
			  : is(config, "transcript", "none") ? TRANSCRIPT_NONE
							     : TRANSCRIPT_FAIL;
	run->reached = json_is_true(json_object_get(config, "reached"));
	run->reference = !json_is_object(target);
	if (run->reference)
		result = profile_reference(&run->profile, run->seed);
	else
		result = profile_from_json(target, &run->profile, err);
	if (result == NVC_OK)
		result = read_fault(json_string_value(json_object_get(config, "fault")), run, err);
	if (result == NVC_OK)
		result = read_defects(config, run, err);
	if (result == NVC_OK)
		result = read_kato(config, run, err);
	if (result == NVC_OK)
		result = turns_read(config, &run->turns, err);
	if (result == NVC_OK)
		result = capture_config_read(config, &run->captures, err);
	if (result == NVC_OK)
		result = read_batch(config, run, err);
	return result;
}

static enum nvc_result select_cases(
	const json_t *config, const struct instance **selected, size_t *num, struct nvc_error *err)
{
	const json_t *value;
	size_t i;

	*num = 0;
	json_array_foreach(json_object_get(config, "cases"), i, value)
	{
		const char *id = json_string_value(value);
		const struct instance *instance = id ? registry_find(id) : NULL;
		if (!instance)
			return nvc_fail(err, NVC_E_INVALID, "no case has the id '%s'",
				id ? id : "(not a text)");
		if (*num == MAX_SELECTED)
			return nvc_fail(err, NVC_E_INVALID, "more than %d cases", MAX_SELECTED);
		selected[(*num)++] = instance;
	}
	if (!*num)
		return nvc_fail(err, NVC_E_INVALID, "no case is selected");
	return NVC_OK;
}

/* ---- the probe ---- */

static enum nvc_result probe(struct run_config *run, struct nvc_error *err)
{
	struct reference *reference = NULL;
	struct nvc_seeded *random = NULL;
	struct nvc_world world;
	struct nvc_host host;
	enum nvc_result result;
	json_t *findings = json_array();

	/* The clean target is probed, so that a defect does not make cases skip which are to find it. */
	const struct reference_options clean = {.num_defects = 0};
	if (run->reference) {
		reference = reference_new(&run->profile, &clean, run->seed, err);
		if (!reference)
			return err->result;
		world = reference_world(reference);
	} else {
		random = nvc_seeded_new(run->seed, "probe");
		world = nvc_world_system(random);
	}
	nvc_host_init(&host, &world);
	host.timeout = run->timeout;
	host.addresses[NVC_PORT_MAIN] =
		(struct nvc_address){run->profile.addr, run->profile.port_concat};
	host.addresses[NVC_PORT_TLS_ONLY] =
		(struct nvc_address){run->profile.addr, run->profile.port_tls};
	int turn = turns_enter(&run->turns, true);
	result = probe_target(&run->profile, &host, run->reference, &run->capabilities, err);
	nvc_host_fini(&host);
	turns_leave(turn);
	reference_free(reference);
	nvc_seeded_free(random);
	for (unsigned int i = 0; i < NUM_NEEDS; i++)
		json_array_append_new(
			findings, json_pack("{s:s, s:b, s:o}", "need", need_name(i), "met",
					  run->capabilities.met >> i & 1, "finding",
					  events_text(run->capabilities.finding[i])));
	events_write(STDOUT_FILENO, json_pack("{s:s, s:o, s:s, s:s}", "event", "probe", "findings",
					    findings, "hashes", run->capabilities.hash_finding,
					    "dhgroups", run->capabilities.dhgroup_finding));
	return result;
}

enum nvc_result engine_probe(const json_t *config, struct nvc_error *err)
{
	static struct run_config run;
	enum nvc_result result = read_config(config, &run, err);

	if (result == NVC_OK)
		result = probe(&run, err);
	profile_wipe(&run.profile);
	return result;
}

static enum nvc_result open_captures(const struct run_config *run, struct nvc_error *err)
{
	const char *const ports[] = {
		run->profile.port_concat, run->profile.port_tls, run->profile.port_plain};

	if (run->reference && run->captures.interface[0])
		return nvc_fail(err, NVC_E_INVALID,
			"captures: the reference target in process sends nothing to an interface");
	return capture_open(&run->captures, ports, sizeof(ports) / sizeof(ports[0]), err);
}

enum nvc_result engine_run(const json_t *config, struct nvc_error *err)
{
	static const struct instance *selected[MAX_SELECTED];
	static struct run_config run;
	size_t num = 0;
	enum nvc_result result = read_config(config, &run, err);

	if (result == NVC_OK)
		result = select_cases(config, selected, &num, err);
	if (result == NVC_OK && run.target.num_defects) {
		/* Known names only, said before the first case and not in each. */
		struct reference *reference =
			reference_new(&run.profile, &run.target, run.seed, err);
		result = reference ? NVC_OK : NVC_E_INVALID;
		reference_free(reference);
	}
	if (result == NVC_OK)
		result = open_captures(&run, err);
	if (result == NVC_OK) {
		events_write(
			STDOUT_FILENO, json_pack("{s:s, s:s, s:I, s:s, s:i}", "event", "run-start",
					       "version", NVC_VERSION, "seed", (json_int_t)run.seed,
					       "target", run.profile.addr, "cases", (int)num));
		result = probe(&run, err);
	}
	struct liveness liveness = {.cases = selected, .num_cases = num};
	for (size_t i = 0, num_run; result == NVC_OK && i < num; i += num_run) {
		bool clean = false;
		result = run_next(&run, &selected[i], num - i, &num_run, &clean, err);
		if (result == NVC_OK && liveness_due(&liveness, i + num_run - 1, clean))
			result = liveness_ask(&liveness, &run, i + num_run - 1, err);
	}
	if (result == NVC_OK)
		events_write(STDOUT_FILENO,
			json_pack("{s:s, s:i}", "event", "run-end", "cases", (int)num));
	capture_close();
	profile_wipe(&run.profile);
	return result;
}
