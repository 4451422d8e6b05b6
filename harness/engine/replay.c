/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/replay.h"
#include "harness/engine/events.h"

enum { MAX_KEYLOG = 64 << 20, READ_BUFFER = 256 << 10 };

static const char *side_of(enum req_id req)
{
	return nvc_requirement(req)->area == NVC_AREA_HOST ? "host" : "controller";
}

/* What the reader asked to see. */
struct wish {
	bool conversation;
};

static void on_event(void *self, const struct nvc_replay_event *event)
{
	static const char *const kinds[] = {
		"open", "pdu", "end", "note", "unjudged", "violation", "check", "association"};
	const struct wish *wish = self;
	json_t *line;

	if (!wish->conversation && event->kind != NVC_REPLAY_VIOLATION &&
		event->kind != NVC_REPLAY_UNJUDGED)
		return;
	line = json_pack("{s:s, s:s, s:I, s:I, s:i, s:o}", "event", "replay", "kind",
		kinds[event->kind], "frame", (json_int_t)event->frame, "time_ns",
		(json_int_t)event->time, "conn", (int)event->conn, "text",
		events_text(event->text));

	if (event->kind == NVC_REPLAY_PDU || event->kind == NVC_REPLAY_END)
		json_object_set_new(
			line, "dir", json_string(event->direction == NVC_H2C ? "h2c" : "c2h"));
	if (event->kind == NVC_REPLAY_PDU || event->kind == NVC_REPLAY_VIOLATION)
		json_object_set_new(line, "pdu", json_integer(event->pdu));
	if (event->kind == NVC_REPLAY_VIOLATION) {
		const struct nvc_requirement *row = nvc_requirement(event->req);

		json_object_set_new(line, "side", json_string(side_of(event->req)));
		json_object_set_new(line, "requirement", json_string(row->id));
		json_object_set_new(line, "level", json_string(nvc_level_name(row->level)));
		json_object_set_new(line, "citation", json_string(row->citation));
		json_object_set_new(line, "statement", json_string(row->statement));
		json_object_set_new(line, "expected", events_text(event->expected));
	}
	events_write(STDOUT_FILENO, line);
}

static json_t *counts(const struct nvc_replay_result *result)
{
	json_t *list = json_array();

	for (int req = REQ_NONE + 1; req < NUM_REQS; req++)
		if (result->violations[req])
			json_array_append_new(list,
				json_pack("{s:s, s:s, s:s, s:i}", "requirement",
					nvc_requirement((enum req_id)req)->id, "level",
					nvc_level_name(nvc_requirement((enum req_id)req)->level),
					"side", side_of((enum req_id)req), "times",
					(int)result->violations[req]));
	return list;
}

static void tell_end(const struct nvc_replay_result *result)
{
	static const char *const verdicts[] = {"clean", "violated", "cannot-judge"};

	events_write(STDOUT_FILENO,
		json_pack("{s:s, s:s, s:o, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:I, s:o}", "event",
			"replay-end", "verdict", verdicts[result->verdict], "reason",
			events_text(result->reason), "frames", (json_int_t)result->frames,
			"segments", (json_int_t)result->segments, "connections",
			(int)result->connections, "judged", (int)result->nvme, "judged_tls",
			(int)result->nvme_tls, "unjudged", (int)result->unjudged, "pdus",
			(int)result->pdus, "secrets", (json_int_t)result->secrets, "violations",
			counts(result)));
}

/* Reads a file of TLS secrets; the caller wipes and frees it. */
static enum nvc_result read_keylog(
	const char *path, char **text, size_t *len, struct nvc_error *err)
{
	FILE *in = fopen(path, "rb");
	size_t cap = 1 << 16, num;

	if (!in)
		return nvc_fail(err, NVC_E_INVALID, "key log %s: %s", path, strerror(errno));
	*len = 0;
	*text = malloc(cap);
	while (*text && (num = fread(*text + *len, 1, cap - *len, in)) > 0) {
		*len += num;
		if (*len < cap)
			continue;
		char *grown = cap < MAX_KEYLOG ? realloc(*text, cap * 2) : NULL;
		if (!grown)
			break;
		*text = grown;
		cap *= 2;
	}
	if (!*text || *len == cap || ferror(in))
		nvc_fail(err, NVC_E_INVALID, "key log %s: cannot be read, or is too long", path);
	fclose(in);
	return err->result;
}

static enum nvc_result open_capture(const char *path, FILE **in, struct nvc_error *err)
{
	struct stat about;

	*in = fopen(path, "rb");
	if (!*in)
		return nvc_fail(err, NVC_E_INVALID, "%s: %s", path, strerror(errno));
	if (fstat(fileno(*in), &about) == 0 && S_ISREG(about.st_mode)) {
		setvbuf(*in, NULL, _IOFBF, READ_BUFFER);
		return NVC_OK;
	}
	fclose(*in);
	*in = NULL;
	return nvc_fail(err, NVC_E_INVALID, "%s: is no ordinary file", path);
}

enum nvc_result engine_replay(const json_t *config, struct nvc_error *err)
{
	static struct nvc_replay_result done;
	struct wish wish = {!json_is_false(json_object_get(config, "conversation"))};
	const struct nvc_replay_sink sink = {&wish, on_event};
	const char *path = json_string_value(json_object_get(config, "file"));
	const char *keylog_path = json_string_value(json_object_get(config, "keylog"));
	const char *judge = json_string_value(json_object_get(config, "judge"));
	struct nvc_replay_options options = {.judge = NVC_JUDGE_BOTH};
	struct nvc_error why = {0};
	char *keylog = NULL;
	size_t keylog_len = 0;
	FILE *in = NULL;
	enum nvc_result result = NVC_OK;

	if (!path)
		return nvc_fail(err, NVC_E_INVALID, "no file is named");
	if (judge && strcmp(judge, "host") == 0)
		options.judge = NVC_JUDGE_HOST;
	else if (judge && strcmp(judge, "controller") == 0)
		options.judge = NVC_JUDGE_CONTROLLER;
	if (keylog_path)
		result = read_keylog(keylog_path, &keylog, &keylog_len, err);
	if (result == NVC_OK)
		result = open_capture(path, &in, err);
	if (result != NVC_OK)
		goto out;
	options.keylog = nvc_slice_of(keylog, keylog_len);
	options.brief = !wish.conversation;
	events_write(STDOUT_FILENO, json_pack("{s:s, s:s}", "event", "replay-start", "file", path));
	result = nvc_replay(in, &options, &sink, &done, &why);
	if (result == NVC_OK)
		tell_end(&done);
	else
		result = nvc_fail(err, result == NVC_E_MALFORMED ? NVC_E_INVALID : result, "%s: %s",
			path, why.text);
out:
	if (keylog)
		explicit_bzero(keylog, keylog_len);
	free(keylog);
	return result;
}
