/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine behind the runner: `list` prints what there is, `run` runs cases, `probe` asks a target what it
 * can do, `target` serves the reference target, `replay` judges a capture, `reenact` does what its host did to
 * another target. Configuration comes as one JSON object on standard input, so that secrets are in no process list.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "capture/replay.h"
#include "harness/engine/events.h"
#include "harness/engine/registry.h"
#include "harness/engine/probe.h"
#include "harness/engine/reenact.h"
#include "harness/engine/replay.h"
#include "harness/engine/run.h"
#include "observer/observer.h"
#include "target/target.h"

enum { STATUS_OK = 0, STATUS_USAGE = 2, STATUS_INTERNAL = 3, STATUS_UNREACHABLE = 4 };

static const char *teardown_text(enum teardown teardown)
{
	switch (teardown) {
	case TEARDOWN_USABLE:
		return "usable";
	case TEARDOWN_CLOSED:
		return "closed";
	default:
		return "any";
	}
}

static void list_case(const struct instance *instance)
{
	const struct test_case *test_case = instance->test_case;
	json_t *checks = json_array(), *needs = json_array();

	for (size_t i = 0; i < CASE_MAX_CHECKS && test_case->checks[i] != REQ_NONE; i++)
		json_array_append_new(
			checks, json_string(nvc_requirement(test_case->checks[i])->id));
	for (unsigned int i = 0; i < NUM_NEEDS; i++)
		if (test_case->needs & 1u << i)
			json_array_append_new(needs, json_string(need_name(i)));
	events_write(STDOUT_FILENO,
		json_pack("{s:{s:s, s:s, s:s%, s:o, s:o, s:s, s:b}}", "case", "id", instance->id,
			"title", test_case->title, "area", instance->id, strcspn(instance->id, "."),
			"checks", checks, "needs", needs, "teardown",
			teardown_text(registry_teardown(test_case)), "slow", test_case->slow));
}

static void list_all(void)
{
	struct nvc_target_defect defect;

	for (const struct instance *instance = registry_next(NULL); instance;
		instance = registry_next(instance))
		list_case(instance);
	for (int id = REQ_NONE + 1; id < NUM_REQS; id++) {
		const struct nvc_requirement *row = nvc_requirement((enum req_id)id);
		events_write(STDOUT_FILENO,
			json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}}", "requirement",
				"id", row->id, "level", nvc_level_name(row->level), "area",
				nvc_area_name(row->area), "statement", row->statement, "stimulus",
				row->stimulus, "expected", row->expected, "citation", row->citation,
				"ends", nvc_ends_name(row->ends)));
	}
	for (size_t i = 0; nvc_observer_checks(i) != REQ_NONE; i++)
		events_write(STDOUT_FILENO, json_pack("{s:{s:s}}", "observer", "requirement",
						    nvc_requirement(nvc_observer_checks(i))->id));
	for (size_t i = 0; nvc_replay_checks(i) != REQ_NONE; i++)
		events_write(STDOUT_FILENO, json_pack("{s:{s:s}}", "replay", "requirement",
						    nvc_requirement(nvc_replay_checks(i))->id));
	for (size_t i = 0; nvc_target_defect_at(i, &defect); i++)
		events_write(STDOUT_FILENO,
			json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:b}}", "defect", "name",
				defect.name, "text", defect.text, "requirement", defect.requirement,
				"origin", defect.origin, "rule", defect.rule, "named",
				strcmp(defect.origin, "generated") != 0));
}

static int complain(enum nvc_result result, const struct nvc_error *err)
{
	if (result == NVC_OK)
		return STATUS_OK;
	fprintf(stderr, "nvme-conform-engine: %s\n",
		err->text[0] ? err->text : nvc_result_name(result));
	switch (result) {
	case NVC_E_INVALID:
		return STATUS_USAGE;
	case NVC_E_TIMEOUT:
	case NVC_E_CLOSED:
	case NVC_E_RESET:
	case NVC_E_REFUSED:
	case NVC_E_TLS:
	case NVC_E_MALFORMED:
	case NVC_E_TRUNCATED:
		return STATUS_UNREACHABLE;
	default:
		return STATUS_INTERNAL;
	}
}

static int with_config(enum nvc_result (*run)(const json_t *config, struct nvc_error *err))
{
	struct nvc_error err = {0};
	json_error_t why;
	json_t *config = json_loadf(stdin, 0, &why);
	int status;

	if (!json_is_object(config)) {
		/* jansson quotes the text at fault, which may be a secret; its position says enough. */
		fprintf(stderr,
			"nvme-conform-engine: the configuration on standard input is no JSON "
			"object (line %d, column %d)\n",
			why.line, why.column);
		json_decref(config);
		return STATUS_USAGE;
	}
	status = complain(run(config, &err), &err);
	json_decref(config);
	return status;
}

int main(int argc, char **argv)
{
	const char *verb = argc == 2 ? argv[1] : "";
	struct nvc_error err = {0};

	signal(SIGPIPE, SIG_IGN);
	/* Every case ends a process; OpenSSL's clean-up there would write to, and so copy, hundreds of pages of this one. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
	if (registry_load(&err) != NVC_OK)
		return complain(NVC_E_STATE, &err);
	if (strcmp(verb, "list") == 0) {
		list_all();
		return STATUS_OK;
	}
	if (strcmp(verb, "run") == 0)
		return with_config(engine_run);
	if (strcmp(verb, "probe") == 0)
		return with_config(engine_probe);
	if (strcmp(verb, "target") == 0)
		return with_config(engine_target);
	if (strcmp(verb, "replay") == 0)
		return with_config(engine_replay);
	if (strcmp(verb, "reenact") == 0)
		return with_config(engine_reenact);
	fprintf(stderr, "usage: nvme-conform-engine list|run|probe|target|replay|reenact (called "
			"by nvme-conform; "
			"configuration on standard input)\n");
	return STATUS_USAGE;
}
