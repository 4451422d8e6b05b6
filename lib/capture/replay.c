/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/file.h"
#include "capture/replay_state.h"

static const uint64_t SECOND = 1000000000, DAY = UINT64_C(86400) * 1000000000;

/* ---- telling ---- */

void nvc_replay_tell(struct nvc_replay_state *replay, struct nvc_replay_event event)
{
	if (!event.frame)
		event.frame = replay->frame;
	if (!event.time)
		event.time = replay->time;
	if (replay->sink.event)
		replay->sink.event(replay->sink.self, &event);
}

void nvc_replay_cannot_judge(struct nvc_replay_state *replay, unsigned int conn, const char *why)
{
	nvc_replay_tell(replay,
		(struct nvc_replay_event){.kind = NVC_REPLAY_UNJUDGED, .conn = conn, .text = why});
	if (!replay->result->reason[0])
		snprintf(replay->result->reason, sizeof(replay->result->reason), "%s", why);
}

static void on_lost(void *self, unsigned int conn, const char *why)
{
	const struct nvc_replay_state *replay = self;

	(void)conn;
	nvc_flow_leave_out(replay->current, why);
}

uint64_t nvc_replay_frame(const struct nvc_replay_state *replay, unsigned int packet)
{
	const unsigned int last = nvc_observer_packets(replay->observer);

	return packet && packet < last && last - packet < NVC_REPLAY_PDUS
		       ? replay->frames[packet % NVC_REPLAY_PDUS]
		       : replay->frame;
}

static void on_violation(void *self, enum req_id req, const char *expected, const char *seen,
	unsigned int pdu, unsigned int conn)
{
	struct nvc_replay_state *replay = self;

	nvc_replay_tell(replay, (struct nvc_replay_event){.kind = NVC_REPLAY_VIOLATION,
					.frame = nvc_replay_frame(replay, pdu),
					.conn = conn,
					.pdu = pdu,
					.text = seen,
					.req = req,
					.expected = expected});
}

static void on_packet(void *self, const struct nvc_observed_packet *packet)
{
	static const enum nvc_replay_kind kinds[] = {
		[NVC_OBSERVED_PDU] = NVC_REPLAY_PDU,
		[NVC_OBSERVED_OPEN] = NVC_REPLAY_OPEN,
		[NVC_OBSERVED_END] = NVC_REPLAY_END,
		[NVC_OBSERVED_NOTE] = NVC_REPLAY_NOTE,
	};
	struct nvc_replay_state *replay = self;
	struct nvc_replay_event event = {.kind = kinds[packet->kind],
		.conn = packet->conn,
		.direction = packet->direction,
		.pdu = packet->packet,
		.text = packet->text,
		.bytes = packet->bytes};
	char identity[NVC_PSK_IDENTITY_SIZE];

	if (packet->kind == NVC_OBSERVED_OPEN && replay->current)
		nvc_flow_describe(replay->current, &event, identity);
	nvc_replay_tell(replay, event);
}

/* ---- the file ---- */

static void take_time(struct nvc_replay_state *replay, uint64_t time)
{
	/* A second is more than the disorder of a capture with several queues, a day longer than anything waits. */
	const bool back = time + SECOND < replay->time;
	const bool on = replay->time && time > replay->time + DAY;

	if ((back || on) && !replay->result->clock_jumped) {
		replay->result->clock_jumped = replay->frame;
		nvc_observer_bear(replay->observer, UINT64_MAX);
		nvc_replay_tell(replay, (struct nvc_replay_event){.kind = NVC_REPLAY_NOTE,
						.text = back ? "the clock of the capture goes "
							       "back: times are not exact"
							     : "the clock of the capture jumps by "
							       "more than a day: times "
							       "are not exact"});
		/* How long a connection stays open is then no longer known. */
		nvc_observer_bear(replay->observer, UINT64_MAX / 2);
	}
	/* The observer's time never goes back. */
	if (time > replay->time)
		replay->time = time;
}

static enum nvc_result take_packets(
	struct nvc_replay_state *replay, struct nvc_file *file, struct nvc_error *err)
{
	bool first_fragments = false, later_fragments = false;
	struct nvc_packet packet;
	struct nvc_segment segment;
	enum nvc_result result;
	struct nvc_error why = {0};

	while ((result = nvc_file_next(file, &packet, &why)) == NVC_OK) {
		replay->frame = replay->result->frames = packet.frame;
		take_time(replay, packet.time);
		switch (nvc_frame_parse(
			nvc_file_link(file), packet.data, packet.wire_len, &segment)) {
		case NVC_FRAME_TCP:
			replay->result->segments++;
			result = nvc_reassembly_segment(replay->reassembly, &segment);
			break;
		case NVC_FRAME_FRAGMENT:
			first_fragments = true;
			nvc_ports_unread(&replay->fragments, &segment.ends);
			break;
		case NVC_FRAME_LATER_FRAGMENT:
			later_fragments = true;
			break;
		case NVC_FRAME_CUT:
			nvc_ports_unread(&replay->cut, &segment.ends);
			break;
		case NVC_FRAME_OTHER:
			break;
		}
		if (result != NVC_OK)
			return nvc_fail(err, result, "no memory for the capture");
	}
	if (result == NVC_E_TRUNCATED)
		nvc_replay_cannot_judge(replay, 0, why.text);
	replay->result->secrets += nvc_file_passed(file);
	if (nvc_file_lost(file))
		nvc_replay_cannot_judge(replay, 0, "packets of the interface were lost");
	/* Whose they are the first ones tell, where there are any. */
	replay->fragments.anywhere =
		replay->fragments.anywhere || (later_fragments && !first_fragments);
	return NVC_OK;
}

static void conclude(struct nvc_replay_state *replay)
{
	struct nvc_replay_result *result = replay->result;

	nvc_check_settle(replay);
	nvc_ports_settle(replay);
	result->pdus = nvc_observer_packets(replay->observer);
	for (int req = REQ_NONE + 1; req < NUM_REQS; req++) {
		const enum nvc_level level = nvc_requirement((enum req_id)req)->level;

		result->violations[req] =
			nvc_observer_violations(replay->observer, (enum req_id)req);
		if (!result->violations[req])
			continue;
		result->violated += level == NVC_LEVEL_SHALL || level == NVC_LEVEL_OWN;
		result->warned += level == NVC_LEVEL_SHOULD;
	}
	if (!result->nvme && !result->unjudged)
		nvc_replay_cannot_judge(replay, 0,
			replay->foreign_tls ? "no NVMe/TCP inside, but TLS connections without keys"
					    : "no NVMe/TCP inside");
	if (result->violated)
		result->verdict = NVC_REPLAY_VIOLATED;
	else if (result->reason[0])
		result->verdict = NVC_REPLAY_CANNOT_JUDGE;
	else
		result->verdict = NVC_REPLAY_CLEAN;
}

static enum nvc_result set_up(struct nvc_replay_state *replay,
	const struct nvc_replay_options *options, struct nvc_error *err)
{
	const struct nvc_observer_sink watch = {.self = replay,
		.violation = on_violation,
		.packet = options->brief ? NULL : on_packet,
		.lost = on_lost,
		.connected = nvc_check_connected,
		.message = nvc_check_message};
	const struct nvc_reassembly_sink parts = nvc_flow_sink(replay);

	replay->keylog = nvc_keylog_new();
	replay->observer =
		nvc_observer_new(&watch, options->judge ? options->judge : NVC_JUDGE_BOTH);
	replay->reassembly = nvc_reassembly_new(&parts);
	replay->associations = nvc_associations_new();
	replay->identities = options->identities;
	replay->num_identities = options->num_identities;
	replay->follow = options->follow;
	if (!replay->keylog || !replay->observer || !replay->reassembly || !replay->associations)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for the capture");
	replay->result->secrets = nvc_keylog_add(replay->keylog, options->keylog);
	return NVC_OK;
}

/* Opens what is to be judged; `in` is taken over. */
static enum nvc_result open_source(
	struct nvc_replay_state *replay, FILE *in, struct nvc_file **file, struct nvc_error *err)
{
	const struct nvc_replay_follow *follow = replay->follow;

	if (follow) {
		const struct nvc_file_patience patience = {follow->self, follow->more};

		return follow->interface ? nvc_file_open_interface(
						   follow->interface, &patience, file, err)
					 : nvc_file_open_growing(
						   in, &patience, replay->keylog, file, err);
	}
	replay->result->secrets += nvc_file_secrets(in, replay->keylog);
	return nvc_file_open(in, file, err);
}

/* tests/runner/test_list_coverage.py holds this list against where they are reported. */
static const enum req_id checks[] = {
	REQ_C_130,
	REQ_C_132,
	REQ_C_135,
	REQ_C_136,
	REQ_C_200,
	REQ_C_206,
	REQ_C_223,
	REQ_C_224,
	REQ_H_27,
	REQ_H_49,
	REQ_H_52,
	REQ_H_59,
	REQ_H_64,
};

enum req_id nvc_replay_checks(size_t index)
{
	return index < sizeof(checks) / sizeof(checks[0]) ? checks[index] : REQ_NONE;
}

enum nvc_result nvc_replay(FILE *in, const struct nvc_replay_options *options,
	const struct nvc_replay_sink *sink, struct nvc_replay_result *out, struct nvc_error *err)
{
	struct nvc_replay_state *replay = calloc(1, sizeof(*replay));
	struct nvc_file *file = NULL;
	enum nvc_result result = NVC_E_NO_MEMORY;

	memset(out, 0, sizeof(*out));
	if (replay) {
		replay->sink = *sink;
		replay->result = out;
		result = set_up(replay, options, err);
	}
	if (result == NVC_OK)
		result = open_source(replay, in, &file, err);
	else if (in)
		fclose(in);
	if (result == NVC_OK)
		result = take_packets(replay, file, err);
	if (replay) {
		nvc_reassembly_free(replay->reassembly);
		if (result == NVC_OK)
			conclude(replay);
		nvc_file_close(file);
		nvc_observer_free(replay->observer);
		nvc_associations_free(replay->associations);
		nvc_keylog_free(replay->keylog);
	}
	free(replay);
	return result;
}
