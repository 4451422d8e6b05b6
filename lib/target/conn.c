/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections as the service hands them over: bytes in and out, timers, the end. */
#include "target/teardown.h"

#include <stdlib.h>
#include <string.h>

/* ---- buffers ---- */

static bool reserve(uint8_t **buffer, size_t *cap, size_t need)
{
	size_t size = *cap ? *cap : 256;
	uint8_t *grown;

	while (size < need)
		size *= 2;
	if (size == *cap)
		return true;
	grown = realloc(*buffer, size);
	if (!grown)
		return false;
	*buffer = grown;
	*cap = size;
	return true;
}

void nvc_conn_close(struct conn *conn, enum nvc_end how)
{
	if (conn->want_end == NVC_END_OPEN)
		conn->want_end = how;
	conn->phase = CONN_OVER;
}

void nvc_conn_send(struct conn *conn, const struct nvc_pdu *pdu)
{
	static const struct nvc_pdu_mode bare = {0};
	bool no_digests = pdu->ch.type == NVC_PDU_C2H_TERM_REQ || pdu->ch.type == NVC_PDU_IC_RESP;
	struct nvc_pdu_mode mode = no_digests ? bare : conn->tx;
	struct nvc_bend bends[4];
	struct nvc_bends list = {bends, 0};
	const struct nvc_target *target = conn->target;
	struct nvc_writer writer;
	size_t len = nvc_pdu_len(pdu) + 256;

	if (conn->want_end == NVC_END_RST)
		return;
	if (conn->out_len - conn->out_pos + len > MAX_OUTPUT) {
		nvc_target_say(target, "the host reads nothing: connection dropped");
		nvc_conn_close(conn, NVC_END_RST);
		return;
	}
	if (mode.pda && !KEPT(target, SENT_PADDING))
		mode.pda = 0;
	if (mode.hdgst && !KEPT(target, SENT_HDGST))
		bends[list.num++] =
			(struct nvc_bend){.field = "hdgst", .kind = NVC_BEND_XOR, .value = 1};
	if (mode.ddgst && pdu->data.len && !KEPT(target, SENT_DDGST))
		bends[list.num++] =
			(struct nvc_bend){.field = "ddgst", .kind = NVC_BEND_XOR, .value = 1};
	if (!KEPT(target, SENT_FLAGS))
		bends[list.num++] =
			(struct nvc_bend){.field = "flags", .kind = NVC_BEND_XOR, .value = 0x80};
	if ((pdu->ch.type == NVC_PDU_C2H_DATA || pdu->ch.type == NVC_PDU_R2T) &&
		!KEPT(target, SENT_RESERVED))
		bends[list.num++] =
			(struct nvc_bend){.field = "reserved20", .kind = NVC_BEND_SET, .value = 1};
	if (!reserve(&conn->out, &conn->out_cap, conn->out_len + len)) {
		nvc_conn_close(conn, NVC_END_RST);
		return;
	}
	writer = nvc_writer_over(conn->out + conn->out_len, conn->out_cap - conn->out_len);
	if (nvc_pdu_encode(pdu, &mode, &list, &writer) == NVC_OK)
		conn->out_len += writer.len;
	else
		nvc_conn_close(conn, NVC_END_RST);
}

void nvc_conn_fatal(struct conn *conn, enum nvc_fes fes, uint32_t fei, struct nvc_slice header)
{
	struct nvc_pdu term = {.ch.type = NVC_PDU_C2H_TERM_REQ};
	const struct nvc_target *target = conn->target;

	if (conn->phase == CONN_OVER)
		return;
	nvc_target_say(
		target, "C2HTermReq: FES %02xh, FEI %xh", (unsigned int)fes, (unsigned int)fei);
	term.term.fes = (uint16_t)FIELD(target, TERM_FES, fes);
	term.term.fei = fei;
	if (KEPT(target, TERM_QUOTE))
		term.data = nvc_slice_sub(header, 0, NVC_PDU_TERM_MAX_DATA);
	nvc_conn_send(conn, &term);
	if (!KEPT(target, STOP_AFTER_TERM))
		return;
	conn->phase = CONN_OVER;
	if (KEPT(target, CLOSE_AFTER_TERM))
		conn->close_at = nvc_env_now(&target->env) + NVC_MS(TERM_WAIT_MS);
	nvc_teardown(conn, TD_FATAL);
}

/* ---- the service ---- */

static void *on_accept(void *self, uint16_t port)
{
	struct nvc_target *target = self;
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	for (size_t i = 0; i < target->num_ports; i++)
		if (target->ports[i].port == port || (target->ports[i].port == 0 && !conn->port))
			conn->port = &target->ports[i];
	if (!conn->port)
		conn->port = &target->ports[0];
	conn->target = target;
	conn->close_at = NVC_NEVER;
	conn->auth_deadline = NVC_NEVER;
	conn->rx.pda = target->limits.cpda;
	conn->next = target->conns;
	target->conns = conn;
	return conn;
}

static struct nvc_tls_accept on_tls(void *self)
{
	struct conn *conn = self;
	struct nvc_tls_accept accept = {
		.policy = conn->port->tls, .find_psk = nvc_psk_for_tls, .secured = nvc_psk_secured};

	if (accept.policy != NVC_TLS_NONE) {
		accept.tls12 = !KEPT(conn->target, TLS13);
		accept.nul_identities = !KEPT(conn->target, PSK_NUL);
		accept.psk_ke = !KEPT(conn->target, PSK_KE);
		accept.early_data = !KEPT(conn->target, EARLY_DATA);
		accept.half_open = !KEPT(conn->target, HOST_END);
		accept.no_key_update = !KEPT(conn->target, KEY_UPDATE);
	}

	if ((accept.policy == NVC_TLS_REQUIRED && !KEPT(conn->target, PORT_TLS)) ||
		(accept.policy == NVC_TLS_NONE && !KEPT(conn->target, PORT_PLAIN)))
		accept.policy = NVC_TLS_PERMITTED;
	return accept;
}

/* The largest PDU a host may send: an in-capsule command or one H2CData, with digests and padding. A larger H2CData is
 * still read when it is little too large, so that it gets its own error. */
static size_t max_plen(const struct conn *conn)
{
	size_t data = conn->target->limits.maxh2cdata > NVC_PDU_MAX_IN_CAPSULE
			      ? conn->target->limits.maxh2cdata
			      : NVC_PDU_MAX_IN_CAPSULE;

	return NVC_PDU_CMD_HLEN + 128 + data + 2 * NVC_PDU_DIGEST_LEN + 4096;
}

/* A PLEN that no PDU can have. What is known of the header decides which error it is. */
static void refuse_length(struct conn *conn, struct nvc_slice in)
{
	in = nvc_slice_sub(in, 0, NVC_PDU_CH_LEN); /* quoted alike however the bytes are cut */
	if (!KEPT(conn->target, PDU_SIZE)) {
		conn->in_len = 0;
		return;
	}
	if (in.data[0] == NVC_PDU_H2C_TERM_REQ)
		nvc_conn_close(conn, NVC_END_FIN);
	else if (conn->phase == CONN_NEW && in.data[0] != NVC_PDU_IC_REQ)
		nvc_conn_fatal(conn, NVC_FES_SEQUENCE, 0, in);
	else if (in.data[0] == NVC_PDU_H2C_DATA && nvc_get_le(in.data + 4, 4) >= NVC_PDU_DATA_HLEN)
		nvc_conn_fatal(conn, NVC_FES_LIMIT_EXCEEDED, 0, in);
	else
		nvc_conn_fatal(conn, NVC_FES_INVALID_FIELD, 4, in);
}

/* Takes whole PDUs off the front of what has come. */
static size_t take_pdus(struct conn *conn)
{
	size_t pos = 0;

	while (conn->phase != CONN_OVER) {
		struct nvc_slice rest = nvc_slice_of(conn->in + pos, conn->in_len - pos);
		size_t plen = 0;
		enum nvc_result result;

		if (!rest.len)
			break;
		result = nvc_pdu_frame(rest, max_plen(conn), &plen);
		if (result == NVC_E_TRUNCATED) {
			nvc_conn_header(
				conn, rest); /* a wrong PLEN may announce what never comes */
			break;
		}
		if (result != NVC_OK) {
			refuse_length(conn, rest);
			return conn->in_len;
		}
		nvc_conn_pdu(conn, nvc_slice_sub(rest, 0, plen));
		pos += plen;
		if (rest.len > plen && !KEPT(conn->target, JOINED))
			return conn->in_len;
	}
	return pos;
}

static void on_input(void *self, struct nvc_slice bytes)
{
	struct conn *conn = self;

	while (bytes.len && conn->phase != CONN_OVER) {
		/* In pieces, so that the buffer never grows beyond one PDU and one piece. */
		struct nvc_slice piece = nvc_slice_sub(bytes, 0, 16384);
		size_t taken;

		if (!reserve(&conn->in, &conn->in_cap, conn->in_len + piece.len)) {
			nvc_conn_close(conn, NVC_END_RST);
			return;
		}
		memcpy(conn->in + conn->in_len, piece.data, piece.len);
		conn->in_len += piece.len;
		bytes = nvc_slice_sub(bytes, piece.len, bytes.len);
		taken = take_pdus(conn);
		if (taken > conn->in_len)
			taken = conn->in_len;
		memmove(conn->in, conn->in + taken, conn->in_len - taken);
		conn->in_len -= taken;
	}
	if (conn->secured && conn->in_len && !KEPT(conn->target, RECORD_SPANS))
		conn->in_len = 0;
}

static void on_ended(void *self, enum nvc_end how)
{
	struct conn *conn = self;

	(void)how;
	if (conn->want_end == NVC_END_OPEN)
		nvc_teardown(conn, TD_LOST);
	nvc_conn_close(conn, NVC_END_FIN);
}

static size_t on_output(void *self, uint8_t *out, size_t size)
{
	struct conn *conn = self;
	size_t len = conn->out_len - conn->out_pos;

	if (len > size)
		len = size;
	if (len)
		memcpy(out, conn->out + conn->out_pos, len);
	conn->out_pos += len;
	if (conn->out_pos == conn->out_len) {
		conn->out_pos = 0;
		conn->out_len = 0;
	}
	return len;
}

static enum nvc_end on_wants_end(void *self)
{
	const struct conn *conn = self;

	return conn->want_end;
}

void nvc_conn_drop_commands(struct conn *conn)
{
	while (conn->commands) {
		struct command *next = conn->commands->next;

		free(conn->commands->data);
		free(conn->commands);
		conn->commands = next;
	}
	conn->num_commands = 0;
	conn->num_async_events = 0;
}

static void on_release(void *self)
{
	struct conn *conn = self;
	struct conn **link = &conn->target->conns;

	if (conn->handshake && !conn->secured && !KEPT(conn->target, LOSS_HANDSHAKE))
		nvc_auth_leave(conn->target, calloc(1, sizeof(struct transaction)));
	nvc_teardown(conn, TD_LOST);
	nvc_controller_drop(conn);
	while (*link != conn)
		link = &(*link)->next;
	*link = conn->next;
	nvc_conn_drop_commands(conn);
	nvc_auth_free(conn->tx_auth);
	free(conn->in);
	free(conn->out);
	free(conn);
}

static uint64_t on_next_timer(void *self)
{
	const struct nvc_target *target = self;
	uint64_t next = NVC_NEVER;

	for (const struct conn *c = target->conns; c; c = c->next) {
		if (c->want_end != NVC_END_OPEN)
			continue;
		if (c->close_at < next)
			next = c->close_at;
		if (c->auth_deadline < next)
			next = c->auth_deadline;
		if (c->controller && c->controller->admin == c &&
			nvc_controller_deadline(c->controller) < next)
			next = nvc_controller_deadline(c->controller);
	}
	for (const struct psk_entry *e = target->psks; e; e = e->next)
		if (e->expires < next)
			next = e->expires;
	return next;
}

static void on_tick(void *self, uint64_t now)
{
	struct nvc_target *target = self;

	nvc_psk_expire(target, now);
	for (struct conn *c = target->conns; c; c = c->next) {
		if (c->want_end != NVC_END_OPEN)
			continue;
		if (c->close_at <= now) {
			nvc_conn_close(c, NVC_END_FIN);
			continue;
		}
		if (c->controller && c->controller->admin == c &&
			nvc_controller_deadline(c->controller) <= now) {
			c->controller->csts |= NVC_CSTS_CFS;
			c->controller->kato = 0;
			nvc_teardown(c, TD_KATO);
			continue;
		}
		if (c->auth_deadline <= now)
			nvc_auth_timeout(c);
	}
}

static size_t on_memory(void *self)
{
	return nvc_target_counters(self).memory;
}

const struct nvc_service nvc_target_service_ops = {
	.accept = on_accept,
	.tls = on_tls,
	.input = on_input,
	.ended = on_ended,
	.output = on_output,
	.wants_end = on_wants_end,
	.release = on_release,
	.next_timer = on_next_timer,
	.tick = on_tick,
	.memory = on_memory,
};
