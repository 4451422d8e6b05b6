/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/file.h"
#include "capture/reassembly.h"
#include "capture/tls13.h"
#include "wire/text.h"

enum {
	PORT_SUBSYSTEM = 4420,
	PORT_DISCOVERY = 8009,
	NUM_PORTS = 65536,
	HEAD_LEN = 8, /* of a stream, enough to tell what it is */
};

enum what {
	UNKNOWN, /* its first bytes have not come */
	PLAIN,
	TLS,
	FOREIGN, /* not ours */
	GIVEN_UP,
};

struct replay {
	struct nvc_replay_sink sink;
	struct nvc_replay_result *result;
	struct nvc_observer *observer;
	struct nvc_reassembly *reassembly;
	struct nvc_keylog *keylog;
	uint64_t frame, time;
	bool clock_jumped;
	unsigned int foreign_tls;
	uint8_t ports[NUM_PORTS / 8]; /* where NVMe/TCP was found */
};

/* A connection of TCP. Side `host` is the one that asks. */
struct flow {
	struct replay *replay;
	struct nvc_tcp_conn *conn;
	unsigned int id;
	enum what what;
	int host;
	uint8_t head[HEAD_LEN];
	size_t head_len;
	struct nvc_tls13 *tls;
	bool observed; /* the observer knows it */
	bool unjudged; /* some part was not judged */
	bool ended[2];
};

/* ---- telling ---- */

static void tell(struct replay *replay, struct nvc_replay_event event)
{
	event.frame = replay->frame;
	event.time = replay->time;
	if (replay->sink.event)
		replay->sink.event(replay->sink.self, &event);
}

static void cannot_judge(struct replay *replay, unsigned int conn, const char *why)
{
	tell(replay,
		(struct nvc_replay_event){.kind = NVC_REPLAY_UNJUDGED, .conn = conn, .text = why});
	if (!replay->result->reason[0])
		snprintf(replay->result->reason, sizeof(replay->result->reason), "%s", why);
}

/* Gives up the rest of a connection that holds NVMe/TCP. */
static void give_up(struct flow *flow, const char *why)
{
	struct replay *replay = flow->replay;

	if (!flow->unjudged)
		replay->result->unjudged++;
	flow->unjudged = true;
	flow->what = GIVEN_UP;
	if (flow->observed)
		nvc_observer_forget(replay->observer, flow->id);
	flow->observed = false;
	cannot_judge(replay, flow->id, why);
}

static void on_violation(void *self, enum req_id req, const char *expected, const char *seen,
	unsigned int pdu, unsigned int conn)
{
	struct replay *replay = self;

	tell(replay, (struct nvc_replay_event){.kind = NVC_REPLAY_VIOLATION,
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
	struct replay *replay = self;

	tell(replay, (struct nvc_replay_event){.kind = kinds[packet->kind],
			     .conn = packet->conn,
			     .direction = packet->direction,
			     .pdu = packet->packet,
			     .text = packet->text});
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

static bool observe(struct flow *flow, bool tls)
{
	struct replay *replay = flow->replay;
	const struct nvc_tcp_ends *ends = &flow->conn->ends;
	const uint16_t port = ends->port[!flow->host];
	char label[160];
	struct nvc_text text = nvc_text_over(label, sizeof(label));

	put_end(&text, ends, flow->host);
	nvc_text_add(&text, " to ");
	put_end(&text, ends, !flow->host);
	nvc_text_add(&text, "%s", tls ? ", TLS" : "");
	replay->ports[port / 8] |= (uint8_t)(1u << port % 8);
	if (nvc_observer_open(replay->observer, flow->id, tls, replay->time, label) != NVC_OK) {
		give_up(flow, "too many connections are open at once");
		return false;
	}
	flow->observed = true;
	replay->result->nvme++;
	replay->result->nvme_tls += tls;
	return true;
}

static bool is_nvme_port(const struct flow *flow)
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

static void begin_tls(struct flow *flow)
{
	const struct nvc_tls13_sink sink = {flow, on_tls_bytes, on_tls_alert};

	flow->tls = nvc_tls13_new(flow->replay->keylog, &sink);
	if (flow->tls)
		flow->what = TLS;
	else
		give_up(flow, "no memory for a TLS connection");
}

/* Decides by the first bytes, which `flow->host` sent; they are all that is known. */
static void decide(struct flow *flow)
{
	/* On its own ports a host that begins with anything else is one that breaks the rules. */
	const bool bent = flow->conn->from_start && is_nvme_port(flow);

	if (is_client_hello(flow->head))
		begin_tls(flow);
	else if (is_icreq(flow->head) || bent)
		flow->what = observe(flow, false) ? PLAIN : GIVEN_UP;
	else if (!flow->conn->from_start && is_nvme_port(flow))
		give_up(flow, "the connection began before the capture");
	else
		flow->what = FOREIGN;
}

/* ---- bytes ---- */

static void judge(struct flow *flow, int side, struct nvc_slice bytes)
{
	struct replay *replay = flow->replay;

	nvc_observer_bytes(replay->observer, flow->id, side == flow->host, bytes, replay->time);
}

/* What TLS decrypted. `side` 0 is the client, which is the host. */
static void on_tls_bytes(void *self, int side, struct nvc_slice bytes)
{
	struct flow *flow = self;
	const int of_conn = side == 0 ? flow->host : !flow->host;

	if (flow->what != TLS)
		return;
	if (!flow->observed) {
		const bool icreq = side == 0 && bytes.len >= HEAD_LEN && is_icreq(bytes.data);

		if (!icreq && !nvc_tls13_names_nvme(flow->tls) && !is_nvme_port(flow)) {
			flow->what = FOREIGN;
			return;
		}
		if (!observe(flow, true))
			return;
	}
	judge(flow, of_conn, bytes);
}

static void end_side(struct flow *flow, int side, const char *how)
{
	struct replay *replay = flow->replay;

	if (flow->observed && !flow->ended[side])
		nvc_observer_end(replay->observer, flow->id, side == flow->host, how, replay->time);
	flow->ended[side] = true;
}

static void on_tls_alert(void *self, int side, uint8_t description)
{
	struct flow *flow = self;

	end_side(flow, side == 0 ? flow->host : !flow->host,
		description == 0 ? "close_notify" : "TLS alert");
}

/* Whether a TLS connection that cannot be read is, or may be, ours. */
static void tls_unreadable(struct flow *flow, const char *why)
{
	if (flow->observed || nvc_tls13_names_nvme(flow->tls) || is_nvme_port(flow)) {
		give_up(flow, why);
		return;
	}
	flow->replay->foreign_tls++;
	flow->what = FOREIGN;
}

static void take_tls_state(struct flow *flow, enum nvc_tls13_state state)
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

static void take_tls(struct flow *flow, int side, struct nvc_slice bytes)
{
	take_tls_state(flow, nvc_tls13_feed(flow->tls, side == flow->host ? 0 : 1, bytes));
}

/* Collects the first bytes until they tell what the connection is. */
static struct nvc_slice take_head(struct flow *flow, int side, struct nvc_slice bytes)
{
	const struct nvc_slice part = nvc_slice_sub(bytes, 0, HEAD_LEN - flow->head_len);

	if (flow->head_len == 0)
		flow->host = side;
	if (side != flow->host) {
		/* Neither NVMe/TCP nor TLS lets the answer come first. */
		flow->what = FOREIGN;
		return nvc_slice_of(NULL, 0);
	}
	memcpy(flow->head + flow->head_len, part.data, part.len);
	flow->head_len += part.len;
	if (flow->head_len == HEAD_LEN)
		decide(flow);
	return nvc_slice_sub(bytes, part.len, bytes.len);
}

static void take_bytes(struct flow *flow, int side, struct nvc_slice bytes)
{
	if (bytes.len && flow->what == PLAIN)
		judge(flow, side, bytes);
	else if (bytes.len && flow->what == TLS)
		take_tls(flow, side, bytes);
}

/* ---- what reassembly tells ---- */

static void on_opened(void *self, struct nvc_tcp_conn *conn)
{
	struct replay *replay = self;
	struct flow *flow = calloc(1, sizeof(*flow));

	replay->result->connections++;
	conn->user = flow;
	if (!flow)
		return;
	flow->replay = replay;
	flow->conn = conn;
	flow->id = replay->result->connections;
}

static void on_bytes(void *self, struct nvc_tcp_conn *conn, int side, struct nvc_slice bytes)
{
	struct flow *flow = conn->user;

	(void)self;
	if (!flow)
		return;
	if (flow->what == UNKNOWN) {
		bytes = take_head(flow, side, bytes);
		if (flow->what != UNKNOWN)
			take_bytes(flow, side, nvc_slice_of(flow->head, flow->head_len));
	}
	take_bytes(flow, side, bytes);
}

static void on_gap(void *self, struct nvc_tcp_conn *conn, int side, const char *why)
{
	struct flow *flow = conn->user;

	(void)self;
	(void)side;
	if (!flow)
		return;
	if (flow->what == PLAIN || (flow->what == UNKNOWN && is_nvme_port(flow)))
		give_up(flow, why);
	else if (flow->what == TLS)
		tls_unreadable(flow, why);
}

static void on_ended(void *self, struct nvc_tcp_conn *conn, int side, bool reset)
{
	struct flow *flow = conn->user;

	(void)self;
	if (flow)
		end_side(flow, side, reset ? "RST" : "FIN");
}

static void on_closed(void *self, struct nvc_tcp_conn *conn)
{
	struct replay *replay = self;
	struct flow *flow = conn->user;

	if (!flow)
		return;
	if (flow->what == TLS)
		take_tls_state(flow, nvc_tls13_finish(flow->tls));
	if (flow->what == TLS && !flow->observed && nvc_tls13_names_nvme(flow->tls))
		tell(replay, (struct nvc_replay_event){.kind = NVC_REPLAY_NOTE,
				     .conn = flow->id,
				     .text = "a TLS handshake for NVMe/TCP that brought no data"});
	if (flow->observed)
		nvc_observer_forget(replay->observer, flow->id);
	nvc_tls13_free(flow->tls);
	free(flow);
	conn->user = NULL;
}

/* ---- the file ---- */

static void take_time(struct replay *replay, uint64_t time)
{
	/* The observer's time never goes back. A second is more than the disorder of a capture with several queues. */
	if (time + 1000000000u < replay->time && !replay->clock_jumped) {
		replay->clock_jumped = true;
		tell(replay,
			(struct nvc_replay_event){.kind = NVC_REPLAY_NOTE,
				.text = "the clock of the capture goes back: times are not exact"});
	}
	if (time > replay->time)
		replay->time = time;
}

static enum nvc_result take_packets(
	struct replay *replay, struct nvc_file *file, struct nvc_error *err)
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
		cannot_judge(replay, 0, why.text);
	if (fragments)
		cannot_judge(replay, 0, "TCP in IP fragments is not put together");
	if (cut)
		cannot_judge(replay, 0, "packets are cut within their headers (snap length)");
	return NVC_OK;
}

static void conclude(struct replay *replay)
{
	struct nvc_replay_result *result = replay->result;

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
		cannot_judge(replay, 0,
			replay->foreign_tls ? "no NVMe/TCP inside, but TLS connections without keys"
					    : "no NVMe/TCP inside");
	if (result->violated)
		result->verdict = NVC_REPLAY_VIOLATED;
	else if (result->reason[0])
		result->verdict = NVC_REPLAY_CANNOT_JUDGE;
	else
		result->verdict = NVC_REPLAY_CLEAN;
}

static enum nvc_result set_up(
	struct replay *replay, const struct nvc_replay_options *options, struct nvc_error *err)
{
	const struct nvc_observer_sink watch = {
		.self = replay, .violation = on_violation, .packet = on_packet};
	const struct nvc_reassembly_sink parts = {
		replay, on_opened, on_bytes, on_gap, on_ended, on_closed};

	replay->keylog = nvc_keylog_new();
	replay->observer =
		nvc_observer_new(&watch, options->judge ? options->judge : NVC_JUDGE_BOTH);
	replay->reassembly = nvc_reassembly_new(&parts);
	if (!replay->keylog || !replay->observer || !replay->reassembly)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for the capture");
	replay->result->secrets = nvc_keylog_add(replay->keylog, options->keylog);
	return NVC_OK;
}

enum nvc_result nvc_replay(FILE *in, const struct nvc_replay_options *options,
	const struct nvc_replay_sink *sink, struct nvc_replay_result *out, struct nvc_error *err)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	struct nvc_file *file = NULL;
	enum nvc_result result = NVC_E_NO_MEMORY;

	memset(out, 0, sizeof(*out));
	if (replay) {
		replay->sink = *sink;
		replay->result = out;
		result = set_up(replay, options, err);
	}
	if (result != NVC_OK) {
		fclose(in);
		goto out;
	}
	out->secrets += nvc_file_secrets(in, replay->keylog);
	result = nvc_file_open(in, &file, err);
	if (result == NVC_OK)
		result = take_packets(replay, file, err);
	nvc_reassembly_free(replay->reassembly);
	replay->reassembly = NULL;
	if (result == NVC_OK)
		conclude(replay);
out:
	if (replay) {
		nvc_file_close(file);
		nvc_reassembly_free(replay->reassembly);
		nvc_observer_free(replay->observer);
		nvc_keylog_free(replay->keylog);
	}
	free(replay);
	return result;
}
