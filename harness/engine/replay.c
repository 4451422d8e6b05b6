/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/keylog.h"
#include "capture/replay.h"
#include "harness/engine/events.h"
#include "harness/engine/follow.h"
#include "harness/engine/identities.h"

enum { MAX_KEYLOG = 64 << 20, READ_BUFFER = 256 << 10 };

static const char *side_of(enum req_id req)
{
	return nvc_requirement(req)->area == NVC_AREA_HOST ? "host" : "controller";
}

/* What the reader asked to see. */
struct wish {
	bool conversation;
	bool bytes; /* of each PDU, as hex: what others show of them is held against it */
};

static json_t *hex_of(struct nvc_slice bytes)
{
	char *text = malloc(2 * bytes.len + 1);
	json_t *hex;

	for (size_t i = 0; text && i < bytes.len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes.data[i]);
	hex = text ? json_stringn(text, 2 * bytes.len) : NULL;
	free(text);
	return hex;
}

static void on_event(void *self, const struct nvc_replay_event *event)
{
	static const char *const kinds[] = {"open", "pdu", "end", "key-update", "note", "unjudged",
		"violation", "check", "association"};
	const struct wish *wish = self;
	json_t *line;

	if (!wish->conversation && event->kind < NVC_REPLAY_UNJUDGED)
		return;
	line = json_pack("{s:s, s:s, s:I, s:I, s:i, s:o}", "event", "replay", "kind",
		kinds[event->kind], "frame", (json_int_t)event->frame, "time_ns",
		(json_int_t)event->time, "conn", (int)event->conn, "text",
		events_text(event->text));

	if (event->kind == NVC_REPLAY_PDU || event->kind == NVC_REPLAY_END ||
		event->kind == NVC_REPLAY_KEY_UPDATE)
		json_object_set_new(
			line, "dir", json_string(event->direction == NVC_H2C ? "h2c" : "c2h"));
	if (event->kind == NVC_REPLAY_ASSOCIATION)
		json_object_set_new(line, "association", json_integer(event->association));
	if (event->kind == NVC_REPLAY_PDU || event->kind == NVC_REPLAY_VIOLATION)
		json_object_set_new(line, "pdu", json_integer(event->pdu));
	if (event->kind == NVC_REPLAY_PDU && wish->bytes)
		json_object_set_new(line, "bytes", hex_of(event->bytes));
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

/* How many there are of each proof, by what is said of it. */
static json_t *proofs(const unsigned int found[NVC_NUM_PROOFS])
{
	json_t *object = json_object();

	for (int proof = 0; proof < NVC_NUM_PROOFS; proof++)
		if (found[proof])
			json_object_set_new(object, nvc_proof_text((enum nvc_proof)proof),
				json_integer(found[proof]));
	return object;
}

static void tell_end(const struct nvc_replay_result *result)
{
	static const char *const verdicts[] = {"clean", "violated", "cannot-judge"};

	events_write(STDOUT_FILENO,
		json_pack("{s:s, s:s, s:o, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:i, s:o, "
			  "s:o, s:o, s:o}",
			"event", "replay-end", "verdict", verdicts[result->verdict], "reason",
			events_text(result->reason), "frames", (json_int_t)result->frames,
			"segments", (json_int_t)result->segments, "connections",
			(int)result->connections, "judged", (int)result->nvme, "judged_tls",
			(int)result->nvme_tls, "unjudged", (int)result->unjudged, "pdus",
			(int)result->pdus, "clock_jumped", (json_int_t)result->clock_jumped,
			"secrets", (json_int_t)result->secrets, "associations",
			(int)result->associations, "responses", proofs(result->responses),
			"identities", proofs(result->identities), "binders",
			proofs(result->binders), "violations", counts(result)));
}

static bool holds_secrets(struct nvc_slice text)
{
	struct nvc_keylog *keylog = nvc_keylog_new();
	const bool some = keylog && nvc_keylog_add(keylog, text) > 0;

	nvc_keylog_free(keylog);
	return some;
}

enum nvc_result replay_read_keylog(
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
	/* A log that is being written may have half a line so far. */
	else if (*len && **text != '#' && memchr(*text, '\n', *len) &&
		 !holds_secrets(nvc_slice_of(*text, *len)))
		nvc_fail(err, NVC_E_INVALID,
			"key log %s: none of its lines is a secret in the NSS format", path);
	fclose(in);
	return err->result;
}

enum nvc_result replay_open_capture(const char *path, FILE **in, struct nvc_error *err)
{
	/* A pipe that nobody writes to must not hold this up. */
	const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat about;

	*in = NULL;
	if (fd < 0 && strcmp(path, "-") != 0)
		return nvc_fail(err, NVC_E_INVALID, "%s: %s", path, strerror(errno));
	if (fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
		*in = fdopen(fd, "rb");
	if (*in) {
		setvbuf(*in, NULL, _IOFBF, READ_BUFFER);
		return NVC_OK;
	}
	if (fd >= 0)
		close(fd);
	return nvc_fail(err, NVC_E_INVALID,
		"%s: is no ordinary file: save the capture to one, and name that (--follow reads "
		"it "
		"while it grows)",
		path);
}

/* Everything that was asked for, and what it holds. */
struct task {
	const char *file, *interface, *keylog_path;
	char *keylog;
	size_t keylog_len;
	struct follow *follow;
	struct identities identities;
	struct nvc_replay_options options;
};

static unsigned int judged_sides(const json_t *config)
{
	const char *judge = json_string_value(json_object_get(config, "judge"));

	if (judge && strcmp(judge, "host") == 0)
		return NVC_JUDGE_HOST;
	if (judge && strcmp(judge, "controller") == 0)
		return NVC_JUDGE_CONTROLLER;
	return NVC_JUDGE_BOTH;
}

/* Behind the last whole line: one that is being written is read when it is whole. */
static size_t whole_lines(const struct task *task)
{
	const char *end = task->keylog ? memrchr(task->keylog, '\n', task->keylog_len) : NULL;

	return end ? (size_t)(end - task->keylog) + 1 : 0;
}

static enum nvc_result prepare(const json_t *config, struct task *task, struct nvc_error *err)
{
	const json_int_t seconds = json_integer_value(json_object_get(config, "seconds"));
	enum nvc_result result = NVC_OK;

	task->file = json_string_value(json_object_get(config, "file"));
	task->interface = json_string_value(json_object_get(config, "interface"));
	task->keylog_path = json_string_value(json_object_get(config, "keylog"));
	if (!task->file == !task->interface)
		return nvc_fail(err, NVC_E_INVALID, "not one of a file and an interface is named");
	if (task->keylog_path)
		result = replay_read_keylog(
			task->keylog_path, &task->keylog, &task->keylog_len, err);
	if (result == NVC_OK)
		result = identities_read(
			json_object_get(config, "identities"), &task->identities, err);
	if (result != NVC_OK)
		return result;
	task->options =
		(struct nvc_replay_options){.keylog = nvc_slice_of(task->keylog, task->keylog_len),
			.identities = task->identities.list,
			.num_identities = task->identities.num,
			.judge = judged_sides(config),
			.brief = json_is_false(json_object_get(config, "conversation"))};
	if (!task->interface && !json_is_true(json_object_get(config, "follow")))
		return NVC_OK;
	task->options.keylog = nvc_slice_of(task->keylog, whole_lines(task));
	task->follow = follow_new(task->keylog_path, task->options.keylog.len, task->interface,
		seconds > 0 && seconds < UINT32_MAX ? (unsigned int)seconds : 0, err);
	task->options.follow = task->follow ? follow_options(task->follow) : NULL;
	return task->follow ? NVC_OK : err->result;
}

static void clean_up(struct task *task)
{
	if (task->keylog)
		explicit_bzero(task->keylog, task->keylog_len);
	free(task->keylog);
	follow_free(task->follow);
	identities_wipe(&task->identities);
}

enum nvc_result engine_replay(const json_t *config, struct nvc_error *err)
{
	static struct nvc_replay_result done;
	static struct task task;
	struct wish wish = {!json_is_false(json_object_get(config, "conversation")),
		json_is_true(json_object_get(config, "bytes"))};
	const struct nvc_replay_sink sink = {&wish, on_event};
	struct nvc_error why = {0};
	FILE *in = NULL;
	enum nvc_result result = prepare(config, &task, err);

	if (result == NVC_OK && task.file)
		result = replay_open_capture(task.file, &in, err);
	if (result != NVC_OK) {
		clean_up(&task);
		return result;
	}
	events_write(STDOUT_FILENO,
		json_pack("{s:s, s:s}", "event", "replay-start", task.file ? "file" : "interface",
			task.file ? task.file : task.interface));
	result = nvc_replay(in, &task.options, &sink, &done, &why);
	clean_up(&task);
	if (result == NVC_OK)
		tell_end(&done);
	else
		result = nvc_fail(err, result == NVC_E_MALFORMED ? NVC_E_INVALID : result, "%s%s%s",
			task.file ? task.file : "", task.file ? ": " : "", why.text);
	return result;
}
