/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/reenact.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/engine/events.h"
#include "harness/engine/probe.h"
#include "harness/engine/reenact_state.h"
#include "harness/engine/replay.h"
#include "harness/engine/save_case.h"

enum {
	MAX_ATTEMPTS = 5, /* as in run.c: Linux loses an AUTH_Failure1 now and then */
	DEFAULT_TIMEOUT_S = 10,
	DEFAULT_WAIT_S = 150, /* longer than the authentication timer */
	ACTOR_STRIDE = 100000,
	MAX_CONFIG_DEFECTS = MAX_DEFECTS,
};

/* What was asked for. */
struct wish {
	struct nvc_script script;
	struct profile profile;
	bool reference;
	struct reference_options target;
	uint64_t seed, timeout, longest_wait;
	bool all_commands;
	const char *save_path, *capture;
};

/* ---- telling ---- */

static json_t *new_line(const struct nvc_script_step *step, const struct reenact *re,
	const char *kind, const char *text)
{
	json_t *line = json_pack(
		"{s:s, s:s, s:o}", "event", "reenact", "kind", kind, "text", events_text(text));

	if (step) {
		json_object_set_new(line, "frame", json_integer((json_int_t)step->frame));
		json_object_set_new(line, "conn", json_integer(re->script->conns[step->conn].id));
	}
	return line;
}

/* What the observer had to say comes behind the line that made it say so. */
static void flush_violations(struct reenact *re)
{
	json_array_extend(re->lines, re->violations);
	json_array_clear(re->violations);
}

void reenact_line(struct reenact *re, const char *kind, const struct nvc_script_step *step,
	bool h2c, const char *text)
{
	json_t *line = new_line(step, re, kind, text);

	json_object_set_new(line, "dir", json_string(h2c ? "h2c" : "c2h"));
	json_array_append_new(re->lines, line);
	re->counts.same += strcmp(kind, "same") == 0;
	re->counts.captured += strcmp(kind, "captured") == 0;
	re->counts.now += strcmp(kind, "new") == 0;
}

void reenact_compare(struct reenact *re, const struct nvc_script_step *step, const char *now)
{
	const bool h2c = nvc_script_of_host(step->kind);
	char **outcome = &re->outcomes[step - re->script->steps];

	free(*outcome);
	*outcome = now ? strdup(now) : NULL;
	if (now && strcmp(now, step->text) == 0) {
		reenact_line(re, "same", step, h2c, now);
	} else {
		reenact_line(re, "captured", step, h2c, step->text);
		if (now)
			reenact_line(re, "new", step, false, now);
	}
	flush_violations(re);
}

static void add_note(
	struct reenact *re, const struct nvc_script_step *step, const char *format, va_list args)
{
	char text[REENACT_TEXT];

	vsnprintf(text, sizeof(text), format, args);
	json_array_append_new(re->lines, new_line(step, re, "note", text));
}

void reenact_note(struct reenact *re, const struct nvc_script_step *step, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_note(re, step, format, args);
	va_end(args);
}

void reenact_cannot(struct reenact *re, const struct nvc_script_step *step, const char *format, ...)
{
	char text[sizeof(re->counts.reason)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!re->counts.reason[0])
		snprintf(re->counts.reason, sizeof(re->counts.reason), "%s", text);
	reenact_note(re, step, "%s", text);
}

static json_t *violation(const struct reenact *re, enum req_id req, const char *expected,
	const char *seen, const struct nvc_script_step *step)
{
	const struct nvc_requirement *row = nvc_requirement(req);
	json_t *line = new_line(step, re, "violation", seen);

	json_object_set_new(line, "requirement", json_string(row->id));
	json_object_set_new(line, "level", json_string(nvc_level_name(row->level)));
	json_object_set_new(line, "citation", json_string(row->citation));
	json_object_set_new(line, "statement", json_string(row->statement));
	json_object_set_new(line, "expected", events_text(expected));
	json_object_set_new(line, "in_capture", json_boolean(re->script->violated[req]));
	return line;
}

void reenact_violates(struct reenact *re, const struct nvc_script_step *step, enum req_id req,
	const char *expected, const char *seen)
{
	re->counts.violations[req]++;
	json_array_append_new(re->lines, violation(re, req, expected, seen, step));
}

static void on_violation(void *self, enum req_id req, const char *expected, const char *seen,
	unsigned int packet, unsigned int conn)
{
	struct reenact *re = self;

	(void)packet;
	(void)conn;
	re->counts.violations[req]++;
	json_array_append_new(re->violations, violation(re, req, expected, seen, re->current));
}

/* ---- who watches ---- */

static void on_open(void *self, uint32_t connection, const char *label, bool tls, uint64_t time)
{
	struct actor *actor = self;
	struct reenact *re = actor->reenact;

	re->conns[re->opening].observed = actor->base + connection;
	(void)nvc_observer_open(re->observer, actor->base + connection, tls, time, label);
}

static void on_bytes(
	void *self, uint32_t connection, bool h2c, struct nvc_slice bytes, uint64_t time)
{
	const struct actor *actor = self;

	nvc_observer_bytes(actor->reenact->observer, actor->base + connection, h2c, bytes, time);
}

static void on_end(void *self, uint32_t connection, bool h2c, enum nvc_end how, uint64_t time)
{
	const struct actor *actor = self;

	nvc_observer_end(
		actor->reenact->observer, actor->base + connection, h2c, nvc_end_name(how), time);
}

static void on_wait(void *self, uint32_t connection, uint64_t time)
{
	const struct actor *actor = self;

	nvc_observer_waited(actor->reenact->observer, actor->base + connection, time);
}

/* ---- who acts ---- */

/* How well what an identity is fixed to fits what the host of the capture was seen to use. */
static int fit(int fixed, uint32_t seen, int weight)
{
	const bool several = seen & (seen - 1);

	if (fixed == PROFILE_ANY)
		return several ? weight : 0;
	if (!(seen >> fixed & 1))
		return -weight;
	return several ? weight / 2 : weight;
}

/* How well an identity of the profile can play a host of the capture; below 0: not at all. */
static int fitness(const struct profile *profile, const struct profile_host *identity,
	const struct nvc_script_host *host)
{
	int score = 50;

	if (strcmp(identity->hostnqn, host->hostnqn) == 0)
		return 100;
	if (identity->has_secret != host->authenticates || identity->policy != POLICY_ORDINARY ||
		(host->two_way && !identity->has_ctrl_secret))
		return -1;
	for (size_t i = 0; i < profile->num_psks; i++)
		if (strcmp(profile->psks[i].hostnqn, identity->hostnqn) == 0)
			score += host->configured ? 40 : -1;
	if (host->hashes)
		score += fit(identity->hash_id, host->hashes, 10);
	if (host->dhgroups)
		score += fit(identity->dhgid, host->dhgroups, 5);
	/* No PSK comes of the NULL group, and none of SHA-512 has an identity. */
	if (host->concat &&
		(identity->dhgid == NVC_DH_NULL || identity->hash_id == NVC_HASH_SHA512))
		score -= 30;
	return score + (identity->has_ctrl_secret == host->two_way);
}

static int choose_identity(const struct reenact *re, size_t index)
{
	const struct profile *profile = re->profile;
	int best = -1, best_score = -1;

	for (size_t i = 0; i < profile->num_hosts; i++) {
		int score = fitness(profile, &profile->hosts[i], &re->script->hosts[index]);

		for (size_t j = 0; j < index && score >= 0; j++)
			score -= re->actors[j].identity == (int)i ? 20 : 0;
		if (score > best_score) {
			best = (int)i;
			best_score = score;
		}
	}
	return best >= 0 ? best : 0;
}

static void set_up_actor(struct reenact *re, struct actor *actor, int identity)
{
	const struct profile *profile = re->profile;
	const char *const ports[NVC_NUM_PORT_KINDS] = {
		[NVC_PORT_MAIN] = profile->port_concat,
		[NVC_PORT_PLAIN_ONLY] = profile->port_plain,
		[NVC_PORT_TLS_ONLY] = profile->port_tls,
	};
	struct nvc_host *host = &actor->host;

	actor->reenact = re;
	actor->base = (unsigned int)(actor - re->actors) * ACTOR_STRIDE;
	actor->identity = identity;
	nvc_host_init(host, &re->world);
	for (int kind = 0; kind < NVC_NUM_PORT_KINDS; kind++)
		host->addresses[kind] =
			(struct nvc_address){profile->addr, ports[kind][0] ? ports[kind] : NULL};
	probe_act_as(host, profile, &profile->hosts[identity]);
	host->timeout = re->timeout;
	host->observer = (struct nvc_host_observer){.self = actor,
		.opened = on_open,
		.bytes = on_bytes,
		.ended = on_end,
		.waited = on_wait};
}

/* One actor for each host of the capture; a host that the target refused stays the stranger it was. */
static void cast(struct reenact *re)
{
	const struct nvc_script *script = re->script;

	for (size_t i = 0; i < re->num_actors; i++) {
		const struct nvc_script_host *host =
			i < script->num_hosts ? &script->hosts[i] : NULL;
		struct actor *actor = &re->actors[i];

		set_up_actor(re, actor, host ? choose_identity(re, i) : 0);
		if (!host)
			continue;
		if (host->refused && !host->authenticates && !host->configured)
			actor->host.hostnqn = host->hostnqn;
		else if (strcmp(actor->host.hostnqn, host->hostnqn) != 0)
			reenact_note(
				re, NULL, "%s is played by %s", host->hostnqn, actor->host.hostnqn);
	}
	for (size_t i = 0; i < script->num_conns; i++)
		re->conns[i].actor =
			&re->actors[script->conns[i].host >= 0 ? script->conns[i].host : 0];
}

/* ---- one attempt ---- */

static bool make_room(struct reenact *re)
{
	const struct nvc_script *script = re->script;
	const struct nvc_observer_sink watch = {.self = re, .violation = on_violation};

	re->num_actors = script->num_hosts ? script->num_hosts : 1;
	re->actors = calloc(re->num_actors, sizeof(*re->actors));
	re->conns = calloc(script->num_conns + 1, sizeof(*re->conns));
	re->transactions = calloc(script->num_transactions + 1, sizeof(*re->transactions));
	re->commands = calloc(script->num_steps + 1, sizeof(*re->commands));
	re->outcomes = calloc(script->num_steps + 1, sizeof(*re->outcomes));
	re->observer = nvc_observer_new(&watch, NVC_JUDGE_CONTROLLER);
	re->lines = json_array();
	re->violations = json_array();
	return re->actors && re->conns && re->transactions && re->commands && re->outcomes &&
	       re->observer && re->lines && re->violations;
}

static void clean_up(struct reenact *re)
{
	for (size_t i = 0; re->transactions && i < re->script->num_transactions; i++) {
		nvc_auth_fini(&re->transactions[i].auth);
		nvc_secret_wipe(&re->transactions[i].psk.psk);
		free(re->transactions[i].sent);
	}
	for (size_t i = 0; re->actors && i < re->num_actors; i++)
		nvc_host_fini(&re->actors[i].host);
	for (size_t i = 0; re->outcomes && i < re->script->num_steps; i++)
		free(re->outcomes[i]);
	free(re->actors);
	free(re->conns);
	free(re->transactions);
	free(re->commands);
	free(re->outcomes);
	nvc_observer_free(re->observer);
	json_decref(re->lines);
	json_decref(re->violations);
}

static json_t *counts(const struct reenact *re)
{
	json_t *list = json_array();

	for (int req = REQ_NONE + 1; req < NUM_REQS; req++)
		if (re->counts.violations[req])
			json_array_append_new(list,
				json_pack("{s:s, s:s, s:i, s:b}", "requirement",
					nvc_requirement((enum req_id)req)->id, "level",
					nvc_level_name(nvc_requirement((enum req_id)req)->level),
					"times", (int)re->counts.violations[req], "in_capture",
					re->script->violated[req]));
	return list;
}

/* What a requirement leaves open nobody violates. */
static json_t *captured_violations(const struct reenact *re)
{
	json_t *list = json_array();

	for (int req = REQ_NONE + 1; req < NUM_REQS; req++) {
		const struct nvc_requirement *row = nvc_requirement((enum req_id)req);

		if (re->script->violated[req] && row->level != NVC_LEVEL_IMPL &&
			row->level != NVC_LEVEL_CONTRADICTION)
			json_array_append_new(list, json_string(row->id));
	}
	return list;
}

static void tell(struct reenact *re, int attempts)
{
	size_t i;
	json_t *line;

	json_array_foreach(re->lines, i, line) events_write(STDOUT_FILENO, json_incref(line));
	events_write(STDOUT_FILENO,
		json_pack("{s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:i}", "event", "reenact-end",
			"same", (int)re->counts.same, "captured", (int)re->counts.captured, "new",
			(int)re->counts.now, "violations", counts(re), "captured_violations",
			captured_violations(re), "reason", events_text(re->counts.reason),
			"attempts", attempts));
}

static void save(struct reenact *re, const struct wish *wish, struct nvc_error *err)
{
	unsigned int left_out = 0;

	if (save_case(re, wish->save_path, wish->capture, &left_out, err) == NVC_OK && left_out)
		reenact_note(re, NULL,
			"%u steps are only comments in %s: no verb of suites/steps.h says them",
			left_out, wish->save_path);
}

/* Does it once. False: it has to be done again, since an answer got lost. */
static bool attempt(const struct wish *wish, int number, struct nvc_error *err)
{
	struct reference *reference = NULL;
	struct nvc_seeded *random = NULL;
	struct reenact re = {.script = &wish->script,
		.profile = &wish->profile,
		.timeout = wish->timeout,
		.longest_wait = wish->longest_wait,
		.all_commands = wish->all_commands,
		.err = err};
	bool done = true;

	if (wish->reference) {
		reference = reference_new(&wish->profile, &wish->target, wish->seed, err);
		if (!reference)
			return true;
		re.world = reference_world(reference);
	} else {
		random = nvc_seeded_new(wish->seed, "reenact");
		re.world = nvc_world_system(random);
	}
	re.reference = reference;
	if (make_room(&re)) {
		cast(&re);
		reenact_all(&re);
		flush_violations(&re);
		if (wish->script.result.reason[0])
			reenact_cannot(&re, NULL, "not all of the capture could be read: %s",
				wish->script.result.reason);
		done = !re.counts.lost || wish->reference || number == MAX_ATTEMPTS ||
		       re.fatal != NVC_OK;
	} else {
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory to re-enact the capture");
	}
	if (done && err->result == NVC_OK && wish->save_path)
		save(&re, wish, err);
	if (done && err->result == NVC_OK)
		tell(&re, number);
	clean_up(&re);
	reference_free(reference);
	nvc_seeded_free(random);
	return done;
}

/* ---- configuration ---- */

static enum nvc_result read_wish(const json_t *config, struct wish *wish, struct nvc_error *err)
{
	const json_t *target = json_object_get(config, "target"), *value;
	const json_int_t timeout = json_integer_value(json_object_get(config, "timeout_s"));
	const json_t *wait = json_object_get(config, "longest_wait_s");
	enum nvc_result result;
	size_t i;

	wish->reference = !json_is_object(target);
	wish->seed = (uint64_t)json_integer_value(json_object_get(config, "seed"));
	wish->timeout = NVC_SEC(timeout > 0 ? timeout : DEFAULT_TIMEOUT_S);
	wish->longest_wait =
		NVC_SEC(json_is_integer(wait) ? json_integer_value(wait) : DEFAULT_WAIT_S);
	wish->save_path = json_string_value(json_object_get(config, "save_case"));
	wish->capture = json_string_value(json_object_get(config, "file"));
	wish->all_commands = json_is_true(json_object_get(config, "all_commands"));
	json_array_foreach(json_object_get(config, "defects"), i, value)
	{
		const char *name = json_string_value(value);

		if (!name || i >= MAX_CONFIG_DEFECTS ||
			strlen(name) >= sizeof(wish->target.defects[0]))
			return nvc_fail(
				err, NVC_E_INVALID, "defects: at most %d names", MAX_DEFECTS);
		strcpy(wish->target.defects[wish->target.num_defects++], name);
	}
	if (wish->target.num_defects && !wish->reference)
		return nvc_fail(
			err, NVC_E_INVALID, "a defect can only be given to the reference target");
	result = wish->reference ? profile_reference(&wish->profile, wish->seed)
				 : profile_from_json(target, &wish->profile, err);
	if (result == NVC_OK && !wish->profile.num_hosts)
		result = nvc_fail(err, NVC_E_INVALID, "the profile names no host to act as");
	return result;
}

enum nvc_result engine_reenact(const json_t *config, struct nvc_error *err)
{
	static struct wish wish;
	enum nvc_result result = read_wish(config, &wish, err);

	if (result == NVC_OK)
		result = reenact_read(config, &wish.profile, &wish.script, err);
	if (result == NVC_OK) {
		events_write(STDOUT_FILENO, json_pack("{s:s, s:i}", "event", "reenact-start",
						    "steps", (int)wish.script.num_steps));
		for (int number = 1; !attempt(&wish, number, err); number++)
			;
	}
	nvc_script_free(&wish.script);
	profile_wipe(&wish.profile);
	return err->result;
}
