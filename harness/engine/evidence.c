/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/engine/capture_out.h"
#include "harness/engine/events.h"
#include "harness/engine/pace.h"

/* Where the last step began, and when the case did. One case per process, so these may be static. */
static struct {
	unsigned int step_packet;
	uint64_t start;
	bool observed; /* something that is to be fixed */
	json_t *source;
} now;

static double ms_since_start(const struct test *t)
{
	return t->world.env.now ? (double)(nvc_env_now(&t->world.env) - now.start) / 1e6 : 0;
}

static unsigned int packets(const struct test *t)
{
	return t->observer ? nvc_observer_packets(t->observer) : 0;
}

unsigned int evidence_step_packet(const struct test *t)
{
	return now.step_packet < packets(t) ? now.step_packet + 1 : packets(t);
}

bool evidence_told(const struct test *t)
{
	return !t->shared && t->run->transcript != TRANSCRIPT_NONE;
}

void evidence_step(struct test *t, const char *text)
{
	now.step_packet = packets(t);
	capture_next("%s: %s", t->instance->id, text);
	if (evidence_told(t))
		events_write(t->out,
			json_pack("{s:s, s:s, s:o, s:i}", "event", "step", "case", t->instance->id,
				"text", events_text(text), "packet", (int)now.step_packet));
}

void evidence_source(struct test *t, const char *line)
{
	(void)t;
	if (!now.source)
		now.source = json_array();
	json_array_append_new(now.source, json_string(line));
}

void evidence_judged(struct test *t, enum req_id req, const char *text)
{
	capture_at(0, "%s: in order: %s", nvc_requirement(req)->id, text);
	if (evidence_told(t))
		events_write(
			t->out, json_pack("{s:s, s:s, s:s, s:o, s:i}", "event", "judged", "case",
					t->instance->id, "requirement", nvc_requirement(req)->id,
					"seen", events_text(text), "packet", (int)packets(t)));
}

void evidence_observation(struct test *t, enum req_id req, const char *expected, const char *seen,
	unsigned int packet, unsigned int connection)
{
	const struct nvc_requirement *row = nvc_requirement(req);

	now.observed = now.observed || row->level == NVC_LEVEL_SHALL ||
		       row->level == NVC_LEVEL_OWN || row->level == NVC_LEVEL_SHOULD;
	capture_at(packet, "%s (%s): observed: %s; expected: %s", row->id, row->citation, seen,
		expected);
	events_write(t->out,
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:i, s:i}", "event", "observation",
			"case", t->instance->id, "requirement", row->id, "level",
			nvc_level_name(row->level), "citation", row->citation, "expected",
			events_text(expected), "seen", events_text(seen), "packet",
			(int)(packet ? packet : packets(t)), "conn", (int)connection));
}

void evidence_log(void *test, const char *text)
{
	struct test *t = test;

	if (evidence_told(t))
		events_write(t->out,
			json_pack("{s:s, s:s, s:o, s:i}", "event", "log", "case", t->instance->id,
				"text", events_text(text), "packet", (int)packets(t)));
}

static void on_violation(void *self, enum req_id req, const char *expected, const char *seen,
	unsigned int packet, unsigned int conn)
{
	evidence_observation(self, req, expected, seen, packet, conn);
}

/* Each case has a reference target of its own, whose random bytes begin anew: only of a real target can be said what comes again. */
static void on_fresh(void *self, enum req_id req, const uint8_t digest[NVC_OBSERVER_DIGEST_LEN],
	unsigned int packet, unsigned int conn)
{
	struct test *t = self;
	char text[2 * NVC_OBSERVER_DIGEST_LEN + 1];

	if (t->reference)
		return;
	events_write(t->out,
		json_pack("{s:s, s:s, s:s, s:s, s:i, s:i}", "event", "fresh", "case",
			t->instance->id, "requirement", nvc_requirement(req)->id, "digest",
			nvc_hex(nvc_slice_of(digest, NVC_OBSERVER_DIGEST_LEN), text, sizeof(text)),
			"packet", (int)packet, "conn", (int)conn));
}

static void on_packet(void *self, const struct nvc_observed_packet *packet)
{
	static const char *const kinds[] = {[NVC_OBSERVED_PDU] = "packet",
		[NVC_OBSERVED_OPEN] = "open",
		[NVC_OBSERVED_END] = "end",
		[NVC_OBSERVED_NOTE] = "note"};
	struct test *t = self;

	if (packet->kind == NVC_OBSERVED_PDU)
		capture_packet(packet->packet);
	events_write(t->out, json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:f, s:o}", "event",
				     "packet", "case", t->instance->id, "kind", kinds[packet->kind],
				     "n", (int)packet->packet, "conn", (int)packet->conn, "dir",
				     packet->direction == NVC_H2C ? "h2c" : "c2h", "t_ms",
				     ms_since_start(t), "text", events_text(packet->text)));
}

bool evidence_open(struct test *t)
{
	const struct nvc_observer_sink sink = {.self = t,
		.violation = on_violation,
		.packet = evidence_told(t) ? on_packet : NULL,
		.fresh = on_fresh};

	memset(&now, 0, sizeof(now));
	t->observer = nvc_observer_new(&sink, NVC_JUDGE_CONTROLLER);
	if (!t->observer)
		return false;
	nvc_observer_bear(t->observer, pace_wait(t->run, 0));
	return true;
}

void evidence_close(struct test *t)
{
	json_decref(now.source);
	now.source = NULL;
	nvc_observer_free(t->observer);
	t->observer = NULL;
}

/* Connections of several hosts share one numbering: each host's own numbers begin at 1. */
enum { HOST_STRIDE = 100000 };

struct host_tap {
	struct test *t;
	unsigned int base;
};
static struct host_tap taps[MAX_HOSTS];

static void on_open(void *self, uint32_t connection, const char *label, bool tls, uint64_t time)
{
	struct host_tap *tap = self;
	char text[64];

	if (!now.start)
		now.start = time;
	snprintf(text, sizeof(text), "%s%s", label, tls ? " over TLS" : "");
	nvc_observer_open(tap->t->observer, tap->base + connection, tls, time, text);
}

static void on_bytes(
	void *self, uint32_t connection, bool h2c, struct nvc_slice bytes, uint64_t time)
{
	struct host_tap *tap = self;

	nvc_observer_bytes(tap->t->observer, tap->base + connection, h2c, bytes, time);
}

static void on_end(void *self, uint32_t connection, bool h2c, enum nvc_end how, uint64_t time)
{
	struct host_tap *tap = self;

	nvc_observer_end(tap->t->observer, tap->base + connection, h2c, nvc_end_name(how), time);
}

static void on_wait(void *self, uint32_t connection, uint64_t time)
{
	struct host_tap *tap = self;

	nvc_observer_waited(tap->t->observer, tap->base + connection, time);
}

void evidence_attach(struct test *t, struct nvc_host *host)
{
	struct host_tap *tap = &taps[host - t->hosts];

	*tap = (struct host_tap){t, (unsigned int)(host - t->hosts) * HOST_STRIDE};
	host->observer = (struct nvc_host_observer){.self = tap,
		.opened = on_open,
		.bytes = on_bytes,
		.ended = on_end,
		.waited = on_wait};
	capture_attach(host, (unsigned int)(host - t->hosts));
}

/* The verdict stands on the packet it is about; the capture ends with what closing the connections
 * brings. */
static void leave_capture(struct test *t, const struct teardown_verdict *teardown,
	const struct nvc_requirement *row, json_t *event)
{
	bool clean = (t->verdict == VERDICT_PASS || t->verdict == VERDICT_SKIP) &&
		     teardown->verdict <= VERDICT_PASS && !now.observed;

	if (!capture_wanted(clean))
		return;
	capture_at(t->first_packet, "%s: verdict %s: %s (%s)%s%s%s%s", t->instance->id,
		verdict_name(t->verdict), row->id, row->citation,
		t->expected[0] ? "; expected: " : "", t->expected, t->seen[0] ? "; seen: " : "",
		t->seen);
	if (teardown->verdict != VERDICT_NONE)
		capture_at(0, "%s: teardown %s: expected: %s; seen: %s", t->instance->id,
			verdict_name(teardown->verdict), teardown->expected, teardown->seen);
	for (size_t i = 0; i < t->num_hosts; i++)
		nvc_host_close_all(&t->hosts[i]);
	json_object_set_new(event, "capture", json_true()); /* run.c writes it */
}

static json_t *reached_defects(const struct reference *reference)
{
	json_t *names = json_array();
	struct nvc_target_defect defect;

	for (size_t i = 0; nvc_target_defect_at(i, &defect); i++)
		if (reference_reached(reference, i))
			json_array_append_new(names, json_string(defect.name));
	return names;
}

static json_t *judged_requirements(const struct test *t)
{
	json_t *idents = json_array();

	for (int req = REQ_NONE + 1; req < NUM_REQS; req++)
		if (t->judged[req])
			json_array_append_new(
				idents, json_string(nvc_requirement((enum req_id)req)->id));
	return idents;
}

void evidence_verdict(struct test *t, const struct teardown_verdict *teardown)
{
	enum req_id req =
		t->requirement == REQ_NONE ? t->instance->test_case->checks[0] : t->requirement;
	const struct nvc_requirement *row = nvc_requirement(req);
	bool reason_only = t->verdict == VERDICT_SKIP || t->verdict == VERDICT_INCONCLUSIVE ||
			   t->verdict == VERDICT_ERROR;
	json_t *event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "event", "verdict", "case",
		t->instance->id, "behaviour", verdict_name(t->verdict), "teardown",
		verdict_name(teardown->verdict), "requirement", row->id, "citation", row->citation);

	json_object_set_new(event, "expected", events_text(reason_only ? "" : t->expected));
	json_object_set_new(event, "seen", events_text(reason_only ? "" : t->seen));
	json_object_set_new(event, "reason", events_text(reason_only ? t->seen : ""));
	json_object_set_new(
		event, "packets", json_pack("[i, i]", (int)t->first_packet, (int)packets(t)));
	json_object_set_new(event, "judged", judged_requirements(t));
	if (teardown->verdict != VERDICT_NONE) {
		const struct nvc_requirement *first =
			nvc_requirement(t->instance->test_case->checks[0]);
		json_object_set_new(event, "teardown_requirement", json_string(first->id));
		json_object_set_new(event, "teardown_expected", json_string(teardown->expected));
		json_object_set_new(event, "teardown_seen", json_string(teardown->seen));
	} else {
		json_object_set_new(event, "teardown_reason", json_string(teardown->reason));
	}
	if (now.source)
		json_object_set(event, "source", now.source);
	if (t->answer_lost)
		json_object_set_new(event, "answer_lost", json_true());
	if (t->turn_missed)
		json_object_set_new(event, "turn_missed", json_true());
	if (t->run->reached && t->reference)
		json_object_set_new(event, "reached", reached_defects(t->reference));
	json_object_set_new(event, "time_ms", json_real(ms_since_start(t)));
	leave_capture(t, teardown, row, event);
	events_write(t->out, event);
}
