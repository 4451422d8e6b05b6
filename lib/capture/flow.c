/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection of a capture: what it is, by its first bytes, and what of it the observer is shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/replay_state.h"
#include "wire/text.h"

enum {
	HEAD_LEN = NVC_REPLAY_HEAD_LEN,
	KEY_ROUNDS = 6, /* in which keys are waited for */
};

/* ---- what is not judged ---- */

static void count_unjudged(struct nvc_flow *flow)
{
	if (!flow->unjudged)
		flow->replay->result->unjudged++;
	flow->unjudged = true;
}

void nvc_flow_leave_out(struct nvc_flow *flow, const char *why)
{
	count_unjudged(flow);
	nvc_replay_cannot_judge(flow->replay, flow->id, why);
}

/* Gives up the rest of it, of both sides. */
static void give_up(struct nvc_flow *flow, const char *why)
{
	flow->kind = NVC_FLOW_GIVEN_UP;
	if (flow->observed)
		nvc_observer_forget(flow->replay->observer, flow->id);
	flow->observed = false;
	nvc_flow_leave_out(flow, why);
}

/* ---- what a connection is ---- */

void nvc_flow_describe(const struct nvc_flow *flow, struct nvc_replay_event *event,
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
	nvc_ports_found(replay, port);
	replay->current = flow;
	if (nvc_observer_open(replay->observer, flow->id, tls, replay->time, label) != NVC_OK) {
		give_up(flow, "too many connections are open at once");
		return false;
	}
	if (flow->generated)
		nvc_observer_generated(replay->observer, flow->id);
	flow->observed = true;
	replay->result->nvme++;
	replay->result->nvme_tls += tls;
	return true;
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
static void on_tls_updated(void *self, int side);

static void begin_tls(struct nvc_flow *flow)
{
	const struct nvc_tls13_sink sink = {flow, on_tls_bytes, on_tls_alert, on_tls_updated};

	flow->tls = nvc_tls13_new(flow->replay->keylog, &sink);
	if (flow->tls)
		flow->kind = NVC_FLOW_TLS;
	else
		give_up(flow, "no memory for a TLS connection");
}

/* Decides by the first bytes, which `flow->host` sent; they are all that is known. */
static void decide(struct nvc_flow *flow)
{
	const bool ours = nvc_ports_have(flow);

	if (is_client_hello(flow->head))
		begin_tls(flow);
	/* On its own ports a host that begins with anything else is one that breaks the rules. */
	else if (is_icreq(flow->head) || (flow->conn->from_start && ours))
		flow->kind = observe(flow, false) ? NVC_FLOW_PLAIN : NVC_FLOW_GIVEN_UP;
	else if (ours)
		give_up(flow, NVC_BEGINS_IN_MIDDLE);
	else
		nvc_ports_pass_over(flow);
}

/* The first bytes are there, and they are not the host's, or it has sent less than tells what they are. */
static void decide_without(struct nvc_flow *flow)
{
	if (!nvc_ports_have(flow))
		nvc_ports_pass_over(flow);
	else
		give_up(flow, flow->conn->from_start ? "the controller sends before the host does"
						     : NVC_BEGINS_IN_MIDDLE);
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

		if (!icreq && !nvc_tls13_names_nvme(flow->tls) && !nvc_ports_have(flow)) {
			nvc_ports_pass_over(flow);
			return;
		}
		if (!observe(flow, true))
			return;
	}
	judge(flow, of_conn, bytes);
}

/* ---- ends ---- */

static const char *name_of(const struct nvc_flow *flow, int side)
{
	return side == flow->host ? "the host" : "the controller";
}

static const char *unfinished_pdu(const struct nvc_flow *flow, int side)
{
	return flow->observed && nvc_observer_unfinished(
					 flow->replay->observer, flow->id, side == flow->host)
		       ? "a PDU"
		       : NULL;
}

/* Inside of what the bytes of `side` stopped; NULL where they did not. */
static const char *unfinished(const struct nvc_flow *flow, int side)
{
	const bool of_host = side == flow->host;

	if (flow->kind == NVC_FLOW_UNKNOWN)
		return of_host && flow->head_len && nvc_ports_have(flow) ? "a PDU" : NULL;
	if (flow->kind == NVC_FLOW_TLS && (flow->observed || nvc_tls13_names_nvme(flow->tls)) &&
		nvc_tls13_unfinished(flow->tls, of_host ? 0 : 1))
		return "a TLS record";
	return unfinished_pdu(flow, side);
}

static void note(struct nvc_flow *flow, const char *text)
{
	nvc_replay_tell(flow->replay,
		(struct nvc_replay_event){.kind = NVC_REPLAY_NOTE, .conn = flow->id, .text = text});
}

/* `inside` of what the side ended, NULL where everything was whole. */
static void end_side(struct nvc_flow *flow, int side, const char *how, const char *inside)
{
	struct nvc_replay_state *replay = flow->replay;
	char text[96];

	if (flow->ended[side])
		return;
	flow->ended[side] = true;
	if (flow->observed) {
		nvc_observer_waited(replay->observer, flow->id, replay->time);
		nvc_observer_end(replay->observer, flow->id, side == flow->host, how, replay->time);
	}
	if (!inside)
		return;
	snprintf(
		text, sizeof(text), "%s ended with %s inside %s", name_of(flow, side), how, inside);
	note(flow, text);
}

/* What was under way when the connection was over or the capture was. */
static void tell_unfinished(struct nvc_flow *flow)
{
	enum {
		MAX_UNDER_WAY = 1000
	}; /* that are told one by one: a file may open millions of connections */
	bool whole = !flow->ended[0] && !flow->ended[1] && !flow->reset;
	const char *under_way = NULL;
	char text[96];

	for (int side = 0; side < 2; side++) {
		const char *inside = flow->ended[side] ? NULL : unfinished(flow, side);

		if (!inside)
			continue;
		whole = false;
		snprintf(text, sizeof(text), "%s inside %s of %s",
			flow->reset ? "RST came" : "the capture of the connection ends", inside,
			name_of(flow, side));
		/* Who stops to follow knows that more was to come. */
		if (flow->reset || flow->replay->follow)
			note(flow, text);
		else
			nvc_flow_leave_out(flow, text);
	}
	if (whole && flow->observed && !flow->replay->follow)
		under_way = nvc_observer_under_way(flow->replay->observer, flow->id);
	if (!under_way)
		return;
	if (flow->replay->num_under_way++ >= MAX_UNDER_WAY) {
		count_unjudged(flow);
		return;
	}
	snprintf(text, sizeof(text), "the capture of the connection ends in the middle of %s%s",
		under_way,
		flow->replay->num_under_way == MAX_UNDER_WAY ? "; more such are only counted" : "");
	nvc_flow_leave_out(flow, text);
}

static void on_tls_alert(void *self, int side, uint8_t description)
{
	struct nvc_flow *flow = self;

	side = side == 0 ? flow->host : !flow->host;
	end_side(flow, side, description == 0 ? "close_notify" : "TLS alert",
		unfinished_pdu(flow, side));
}

static void on_tls_updated(void *self, int side)
{
	const struct nvc_flow *flow = self;

	if (flow->observed)
		nvc_replay_tell(
			flow->replay, (struct nvc_replay_event){.kind = NVC_REPLAY_KEY_UPDATE,
					      .conn = flow->id,
					      .direction = side == 0 ? NVC_H2C : NVC_C2H,
					      .text = "KeyUpdate"});
}

/* Whether a TLS connection that cannot be read is, or may be, ours. */
static void tls_unreadable(struct nvc_flow *flow, const char *why)
{
	if (flow->observed || nvc_tls13_names_nvme(flow->tls) || nvc_ports_have(flow)) {
		give_up(flow, why);
		return;
	}
	flow->replay->foreign_tls++;
	nvc_ports_pass_over(flow);
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
		flow->host = nvc_ports_host(flow, side);
	if (side != flow->host) {
		/* Neither NVMe/TCP nor TLS lets the answer come first. */
		decide_without(flow);
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
	if (flow->kind == NVC_FLOW_PLAIN ||
		(flow->kind == NVC_FLOW_UNKNOWN && nvc_ports_have(flow)))
		give_up(flow, why);
	else if (flow->kind == NVC_FLOW_UNKNOWN)
		nvc_ports_pass_over(flow);
	else if (flow->kind == NVC_FLOW_TLS)
		tls_unreadable(flow, why);
}

static void on_ended(void *self, struct nvc_tcp_conn *conn, int side, bool reset)
{
	struct nvc_flow *flow = conn->user;

	(void)self;
	if (!flow)
		return;
	flow->reset = flow->reset || reset;
	end_side(flow, side, reset ? "RST" : "FIN", unfinished(flow, side));
}

static void on_contradicted(void *self, struct nvc_tcp_conn *conn)
{
	static const char why[] = "segments contradict each other: bytes were sent again and "
				  "differ, or two conversations look like one";
	struct nvc_replay_state *replay = self;
	struct nvc_flow *flow = conn->user;
	/* Of a connection that is over nothing is known any more but its ports. */
	const struct nvc_flow over = {.replay = replay, .conn = conn};

	if (!flow && nvc_ports_have(&over))
		nvc_replay_cannot_judge(replay, 0, why);
	else if (flow && flow->kind != NVC_FLOW_FOREIGN && (flow->observed || nvc_ports_have(flow)))
		nvc_flow_leave_out(flow, why);
}

/* Nothing of NVMe/TCP was seen on it, but that it was to come. */
static void tell_handshake(struct nvc_flow *flow)
{
	struct nvc_replay_event event = {.kind = NVC_REPLAY_NOTE,
		.conn = flow->id,
		.frame = flow->first_frame,
		.time = flow->first_time,
		.text = "a TLS handshake for NVMe/TCP that brought no data"};
	char identity[NVC_PSK_IDENTITY_SIZE];

	nvc_flow_describe(flow, &event, identity);
	nvc_replay_tell(flow->replay, event);
}

static void on_closed(void *self, struct nvc_tcp_conn *conn)
{
	struct nvc_replay_state *replay = self;
	struct nvc_flow *flow = conn->user;

	if (!flow)
		return;
	if (flow->kind == NVC_FLOW_TLS)
		take_tls_state(flow, nvc_tls13_finish(flow->tls));
	if (flow->kind == NVC_FLOW_TLS && !flow->observed && nvc_tls13_names_nvme(flow->tls))
		tell_handshake(flow);
	tell_unfinished(flow);
	if (flow->kind == NVC_FLOW_UNKNOWN && flow->head_len && !nvc_ports_have(flow))
		nvc_ports_pass_over(flow);
	nvc_check_closed(flow);
	if (flow->observed) {
		nvc_observer_waited(replay->observer, flow->id, replay->time);
		nvc_observer_forget(replay->observer, flow->id);
	}
	nvc_tls13_free(flow->tls);
	free(flow);
	conn->user = NULL;
}

struct nvc_reassembly_sink nvc_flow_sink(struct nvc_replay_state *replay)
{
	return (struct nvc_reassembly_sink){
		replay, on_opened, on_bytes, on_gap, on_ended, on_contradicted, on_closed};
}
