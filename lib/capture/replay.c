/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/file.h"
#include "capture/replay_state.h"
#include "wire/text.h"

enum {
	PORT_SUBSYSTEM = 4420,
	PORT_DISCOVERY = 8009,
	HEAD_LEN = NVC_REPLAY_HEAD_LEN,
	KEY_ROUNDS = 6, /* in which keys are waited for */
};

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

/* A part of a connection that holds NVMe/TCP is not judged. */
static void leave_out(struct nvc_flow *flow, const char *why)
{
	if (!flow->unjudged)
		flow->replay->result->unjudged++;
	flow->unjudged = true;
	nvc_replay_cannot_judge(flow->replay, flow->id, why);
}

/* Gives up the rest of it, of both sides. */
static void give_up(struct nvc_flow *flow, const char *why)
{
	flow->kind = NVC_FLOW_GIVEN_UP;
	if (flow->observed)
		nvc_observer_forget(flow->replay->observer, flow->id);
	flow->observed = false;
	leave_out(flow, why);
}

static void on_lost(void *self, unsigned int conn, const char *why)
{
	const struct nvc_replay_state *replay = self;

	(void)conn;
	leave_out(replay->current, why);
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

/* The text of the identity is valid as long as `text` is. */
static void describe_flow(const struct nvc_flow *flow, struct nvc_replay_event *event,
	char text[NVC_PSK_IDENTITY_SIZE])
{
	const struct nvc_slice identity =
		flow->tls ? nvc_tls13_hellos(flow->tls).identity : nvc_slice_of(NULL, 0);

	event->port = flow->conn->ends.port[!flow->host];
	event->tls = flow->tls != NULL;
	snprintf(text, NVC_PSK_IDENTITY_SIZE, "%.*s", (int)identity.len,
		identity.len ? (const char *)identity.data : "");
	event->identity = text;
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
		describe_flow(replay->current, &event, identity);
	nvc_replay_tell(replay, event);
}

/* ---- what a connection is ---- */

static void put_end(struct nvc_text *text, const struct nvc_tcp_ends *ends, int side)
{
	const uint8_t *address = ends->address[side];

	if (!ends->ipv6) {
		nvc_text_add(text, "%u.%u.%u.%u", address[0], address[1], address[2], address[3]);
	} else {
		nvc_text_add(text, "[");
		for (int i = 0; i < 16; i += 2)
			nvc_text_add(text, "%s%x", i ? ":" : "", address[i] << 8 | address[i + 1]);
		nvc_text_add(text, "]");
	}
	nvc_text_add(text, ":%u", ends->port[side]);
}

static bool observe(struct nvc_flow *flow, bool tls)
{
	struct nvc_replay_state *replay = flow->replay;
	const struct nvc_tcp_ends *ends = &flow->conn->ends;
	const uint16_t port = ends->port[!flow->host];
	char label[160];
	struct nvc_text text = nvc_text_over(label, sizeof(label));

	put_end(&text, ends, flow->host);
	nvc_text_add(&text, " to ");
	put_end(&text, ends, !flow->host);
	nvc_text_add(&text, "%s", tls ? ", TLS" : "");
	replay->ports[port / 8] |= (uint8_t)(1u << port % 8);
	replay->current = flow;
	if (nvc_observer_open(replay->observer, flow->id, tls, replay->time, label) != NVC_OK) {
		give_up(flow, "too many connections are open at once");
		return false;
	}
	flow->observed = true;
	replay->result->nvme++;
	replay->result->nvme_tls += tls;
	return true;
}

static bool is_nvme_port(const struct nvc_flow *flow)
{
	const uint16_t port = flow->conn->ends.port[!flow->host];

	return port == PORT_SUBSYSTEM || port == PORT_DISCOVERY ||
	       (flow->replay->ports[port / 8] >> port % 8 & 1);
}

/* ICReq has one shape: type 0, no flags, HLEN and PLEN 128 (TCP Transport 1.0, 3.6.2.2). */
static bool is_icreq(const uint8_t head[HEAD_LEN])
{
	static const uint8_t icreq[HEAD_LEN] = {
		NVC_PDU_IC_REQ, 0, NVC_PDU_IC_LEN, 0, NVC_PDU_IC_LEN};

	return memcmp(head, icreq, HEAD_LEN) == 0;
}

static bool is_client_hello(const uint8_t head[HEAD_LEN])
{
	return head[0] == 22 && head[1] == 3 && head[5] == 1;
}

static void on_tls_bytes(void *self, int side, struct nvc_slice bytes);
static void on_tls_alert(void *self, int side, uint8_t description);

static void begin_tls(struct nvc_flow *flow)
{
	const struct nvc_tls13_sink sink = {flow, on_tls_bytes, on_tls_alert};

	flow->tls = nvc_tls13_new(flow->replay->keylog, &sink);
	if (flow->tls)
		flow->kind = NVC_FLOW_TLS;
	else
		give_up(flow, "no memory for a TLS connection");
}

/* Decides by the first bytes, which `flow->host` sent; they are all that is known. */
static void decide(struct nvc_flow *flow)
{
	/* On its own ports a host that begins with anything else is one that breaks the rules. */
	const bool bent = flow->conn->from_start && is_nvme_port(flow);

	if (is_client_hello(flow->head))
		begin_tls(flow);
	else if (is_icreq(flow->head) || bent)
		flow->kind = observe(flow, false) ? NVC_FLOW_PLAIN : NVC_FLOW_GIVEN_UP;
	else if (!flow->conn->from_start && is_nvme_port(flow))
		give_up(flow, "the connection began before the capture");
	else
		flow->kind = NVC_FLOW_FOREIGN;
}

/* ---- bytes ---- */

static void judge(struct nvc_flow *flow, int side, struct nvc_slice bytes)
{
	struct nvc_replay_state *replay = flow->replay;
	unsigned int before = nvc_observer_packets(replay->observer);

	replay->current = flow;
	nvc_observer_bytes(replay->observer, flow->id, side == flow->host, bytes, replay->time);
	replay->current = NULL;
	while (before++ < nvc_observer_packets(replay->observer))
		replay->frames[before % NVC_REPLAY_PDUS] = replay->frame;
}

/* What TLS decrypted. `side` 0 is the client, which is the host. */
static void on_tls_bytes(void *self, int side, struct nvc_slice bytes)
{
	struct nvc_flow *flow = self;
	const int of_conn = side == 0 ? flow->host : !flow->host;

	if (flow->kind != NVC_FLOW_TLS)
		return;
	if (!flow->observed) {
		const bool icreq = side == 0 && bytes.len >= HEAD_LEN && is_icreq(bytes.data);

		if (!icreq && !nvc_tls13_names_nvme(flow->tls) && !is_nvme_port(flow)) {
			flow->kind = NVC_FLOW_FOREIGN;
			return;
		}
		if (!observe(flow, true))
			return;
	}
	judge(flow, of_conn, bytes);
}

static void end_side(struct nvc_flow *flow, int side, const char *how)
{
	struct nvc_replay_state *replay = flow->replay;

	if (flow->observed && !flow->ended[side])
		nvc_observer_end(replay->observer, flow->id, side == flow->host, how, replay->time);
	flow->ended[side] = true;
}

static void on_tls_alert(void *self, int side, uint8_t description)
{
	struct nvc_flow *flow = self;

	end_side(flow, side == 0 ? flow->host : !flow->host,
		description == 0 ? "close_notify" : "TLS alert");
}

/* Whether a TLS connection that cannot be read is, or may be, ours. */
static void tls_unreadable(struct nvc_flow *flow, const char *why)
{
	if (flow->observed || nvc_tls13_names_nvme(flow->tls) || is_nvme_port(flow)) {
		give_up(flow, why);
		return;
	}
	flow->replay->foreign_tls++;
	flow->kind = NVC_FLOW_FOREIGN;
}

static void take_tls_state(struct nvc_flow *flow, enum nvc_tls13_state state)
{
	switch (state) {
	case NVC_TLS13_HELLO:
	case NVC_TLS13_OPEN:
		return;
	case NVC_TLS13_NO_KEYS:
		/* A handshake that breaks off needs no keys: there is nothing behind it. */
		if (nvc_tls13_began(flow->tls))
			tls_unreadable(flow, "encrypted, and there are no keys for it");
		return;
	case NVC_TLS13_UNFIT:
		tls_unreadable(flow, "encrypted, and the keys do not fit");
		return;
	case NVC_TLS13_BROKEN:
		tls_unreadable(flow, "a TLS record cannot be decrypted");
		return;
	case NVC_TLS13_OTHER:
		tls_unreadable(flow, "not TLS 1.3 with AES-GCM");
		return;
	}
}

/* The secrets of a handshake under way may come to the key log a moment after its packets. */
static void await_keys(const struct nvc_flow *flow)
{
	const struct nvc_replay_state *replay = flow->replay;
	const struct nvc_replay_follow *follow = replay->follow;

	if (!follow || !follow->keys)
		return;
	for (int i = 0; i < KEY_ROUNDS && !nvc_tls13_has_keys(flow->tls); i++)
		replay->result->secrets +=
			nvc_keylog_add(replay->keylog, follow->keys(follow->self, i > 0));
}

static void take_tls(struct nvc_flow *flow, int side, struct nvc_slice bytes)
{
	enum nvc_tls13_state state;

	if (side != flow->host && !nvc_tls13_hellos(flow->tls).hash_id)
		await_keys(flow);
	state = nvc_tls13_feed(flow->tls, side == flow->host ? 0 : 1, bytes);
	nvc_check_hellos(flow);
	take_tls_state(flow, state);
}

/* Collects the first bytes until they tell what the connection is. */
static struct nvc_slice take_head(struct nvc_flow *flow, int side, struct nvc_slice bytes)
{
	const struct nvc_slice part = nvc_slice_sub(bytes, 0, HEAD_LEN - flow->head_len);

	if (flow->head_len == 0)
		flow->host = side;
	if (side != flow->host) {
		/* Neither NVMe/TCP nor TLS lets the answer come first. */
		flow->kind = NVC_FLOW_FOREIGN;
		return nvc_slice_of(NULL, 0);
	}
	memcpy(flow->head + flow->head_len, part.data, part.len);
	flow->head_len += part.len;
	if (flow->head_len == HEAD_LEN)
		decide(flow);
	return nvc_slice_sub(bytes, part.len, bytes.len);
}

static void take_bytes(struct nvc_flow *flow, int side, struct nvc_slice bytes)
{
	if (bytes.len && flow->kind == NVC_FLOW_PLAIN)
		judge(flow, side, bytes);
	else if (bytes.len && flow->kind == NVC_FLOW_TLS)
		take_tls(flow, side, bytes);
}

/* ---- what reassembly tells ---- */

static void on_opened(void *self, struct nvc_tcp_conn *conn)
{
	struct nvc_replay_state *replay = self;
	struct nvc_flow *flow = calloc(1, sizeof(*flow));

	replay->result->connections++;
	conn->user = flow;
	if (!flow)
		return;
	flow->replay = replay;
	flow->conn = conn;
	flow->id = replay->result->connections;
	flow->first_frame = replay->frame;
	flow->first_time = replay->time;
}

static void on_bytes(void *self, struct nvc_tcp_conn *conn, int side, struct nvc_slice bytes)
{
	struct nvc_flow *flow = conn->user;

	(void)self;
	if (!flow)
		return;
	if (flow->kind == NVC_FLOW_UNKNOWN) {
		bytes = take_head(flow, side, bytes);
		if (flow->kind != NVC_FLOW_UNKNOWN)
			take_bytes(flow, side, nvc_slice_of(flow->head, flow->head_len));
	}
	take_bytes(flow, side, bytes);
}

static void on_gap(void *self, struct nvc_tcp_conn *conn, int side, const char *why)
{
	struct nvc_flow *flow = conn->user;

	(void)self;
	(void)side;
	if (!flow)
		return;
	if (flow->kind == NVC_FLOW_PLAIN || (flow->kind == NVC_FLOW_UNKNOWN && is_nvme_port(flow)))
		give_up(flow, why);
	else if (flow->kind == NVC_FLOW_TLS)
		tls_unreadable(flow, why);
}

static void on_ended(void *self, struct nvc_tcp_conn *conn, int side, bool reset)
{
	struct nvc_flow *flow = conn->user;

	(void)self;
	if (flow)
		end_side(flow, side, reset ? "RST" : "FIN");
}

static void on_closed(void *self, struct nvc_tcp_conn *conn)
{
	struct nvc_replay_state *replay = self;
	struct nvc_flow *flow = conn->user;

	if (!flow)
		return;
	if (flow->kind == NVC_FLOW_TLS)
		take_tls_state(flow, nvc_tls13_finish(flow->tls));
	if (flow->kind == NVC_FLOW_TLS && !flow->observed && nvc_tls13_names_nvme(flow->tls)) {
		struct nvc_replay_event event = {.kind = NVC_REPLAY_NOTE,
			.conn = flow->id,
			.frame = flow->first_frame,
			.time = flow->first_time,
			.text = "a TLS handshake for NVMe/TCP that brought no data"};
		char identity[NVC_PSK_IDENTITY_SIZE];

		describe_flow(flow, &event, identity);
		nvc_replay_tell(replay, event);
	}
	nvc_check_closed(flow);
	if (flow->observed)
		nvc_observer_forget(replay->observer, flow->id);
	nvc_tls13_free(flow->tls);
	free(flow);
	conn->user = NULL;
}

/* ---- the file ---- */

static void take_time(struct nvc_replay_state *replay, uint64_t time)
{
	/* A second is more than the disorder of a capture with several queues, a day longer than anything waits. */
	const bool back = time + SECOND < replay->time;
	const bool on = replay->time && time > replay->time + DAY;

	if ((back || on) && !replay->result->clock_jumped) {
		replay->result->clock_jumped = replay->frame;
		nvc_replay_tell(replay, (struct nvc_replay_event){.kind = NVC_REPLAY_NOTE,
						.text = back ? "the clock of the capture goes "
							       "back: times are not exact"
							     : "the clock of the capture jumps by "
							       "more than a day: times "
							       "are not exact"});
	}
	/* The observer's time never goes back. */
	if (time > replay->time)
		replay->time = time;
}

static enum nvc_result take_packets(
	struct nvc_replay_state *replay, struct nvc_file *file, struct nvc_error *err)
{
	unsigned int fragments = 0, cut = 0;
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
			fragments++;
			break;
		case NVC_FRAME_CUT:
			cut++;
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
	if (fragments)
		nvc_replay_cannot_judge(replay, 0, "TCP in IP fragments is not put together");
	if (cut)
		nvc_replay_cannot_judge(
			replay, 0, "packets are cut within their headers (snap length)");
	return NVC_OK;
}

static void conclude(struct nvc_replay_state *replay)
{
	struct nvc_replay_result *result = replay->result;

	nvc_check_settle(replay);
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
	const struct nvc_reassembly_sink parts = {
		replay, on_opened, on_bytes, on_gap, on_ended, on_closed};

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
