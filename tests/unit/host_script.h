/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A controller that follows a script: each line expects one PDU of the host, judges it and answers. It holds no opinion of
 * its own, so that what the host does with right and with wrong answers can be shown. The whole script has to be used up.
 */
#ifndef HOST_SCRIPT_H
#define HOST_SCRIPT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "host/host.h"
#include "stream/sim.h"

struct script;

struct script_line {
	uint8_t expect; /* PDU type */
	void (*act)(struct script *script, const struct nvc_pdu *pdu);
	struct nvc_slice message; /* for `act`: of Authentication Send or Receive */
};

struct script {
	const struct script_line *lines;
	size_t num_lines, next;
	struct nvc_pdu_mode mode; /* turned on behind ICResp */
	uint8_t dgst;
	uint8_t in[65536], out[65536];
	size_t in_len, out_len, out_sent;
	size_t cut_after; /* end with FIN behind so many bytes; 0: never */
	size_t total_sent;
	enum nvc_end wants;
	bool flood; /* repeats its last bytes for ever */
	uint16_t cids[8];
	size_t num_cids;
	size_t num_accepted, num_released, num_secured;
	enum nvc_tls_policy policy;
	const struct nvc_tls_psk *psk;
};

static inline void say_raw(struct script *script, struct nvc_slice bytes)
{
	ck_assert_uint_le(script->out_len + bytes.len, sizeof(script->out));
	memcpy(script->out + script->out_len, bytes.data, bytes.len);
	script->out_len += bytes.len;
}

static inline void say(
	struct script *script, const struct nvc_pdu *pdu, const struct nvc_bends *bends)
{
	struct nvc_writer writer = nvc_writer_over(
		script->out + script->out_len, sizeof(script->out) - script->out_len);

	ck_assert_int_eq(nvc_pdu_encode(pdu, &script->mode, bends, &writer), NVC_OK);
	script->out_len += writer.len;
}

static inline uint16_t cid_of(const struct nvc_pdu *pdu)
{
	return (uint16_t)nvc_get_le(pdu->sqe + 2, 2);
}

static inline void say_cqe(struct script *script, struct nvc_cqe cqe)
{
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_RESP};
	struct nvc_writer writer = nvc_writer_over(pdu.cqe, sizeof(pdu.cqe));

	ck_assert_int_eq(nvc_encode(&nvc_cqe_layout, &cqe, NULL, &writer), NVC_OK);
	say(script, &pdu, NULL);
}

static inline void say_data(struct script *script, uint16_t cid, uint32_t offset,
	struct nvc_slice data, uint8_t flags, const struct nvc_bends *bends)
{
	const struct nvc_pdu pdu = {.ch = {.type = NVC_PDU_C2H_DATA, .flags = flags},
		.xfer = {.cccid = cid, .offset = offset, .length = (uint32_t)data.len},
		.data = data};

	say(script, &pdu, bends);
}

/* ---- lines of scripts ---- */

static inline void answer_ic(struct script *script, const struct nvc_pdu *pdu)
{
	const struct nvc_pdu icresp = {
		.ch.type = NVC_PDU_IC_RESP, .ic = {.dgst = script->dgst, .max = 4096}};

	(void)pdu;
	say(script, &icresp, NULL);
	script->mode.hdgst = (script->dgst & NVC_DGST_HEADER) != 0;
	script->mode.ddgst = (script->dgst & NVC_DGST_DATA) != 0;
}

static inline void answer_connect(struct script *script, const struct nvc_pdu *pdu)
{
	ck_assert_uint_eq(pdu->sqe[4], NVC_FCTYPE_CONNECT);
	ck_assert_uint_eq(pdu->data.len, NVC_CONNECT_DATA_LEN);
	say_cqe(script, (struct nvc_cqe){.cid = cid_of(pdu), .result = 0x0102 | NVC_CONNECT_ATR});
}

/* As answer_connect, with SQ flow control disabled, so that SUCCESS is allowed. */
static inline void answer_connect_no_flow(struct script *script, const struct nvc_pdu *pdu)
{
	say_cqe(script, (struct nvc_cqe){.cid = cid_of(pdu), .result = 1, .sqhd = 0xffff});
}

static inline void answer_success(struct script *script, const struct nvc_pdu *pdu)
{
	say_cqe(script, (struct nvc_cqe){.cid = cid_of(pdu), .result = 0x1122334455667788});
}

static inline void note_cid(struct script *script, const struct nvc_pdu *pdu)
{
	ck_assert_uint_lt(script->num_cids, 8);
	script->cids[script->num_cids++] = cid_of(pdu);
}

static inline const struct script_line *line_of(const struct script *script)
{
	return &script->lines[script->next];
}

/* Authentication Send with the message of the line, in the capsule. */
static inline void take_message(struct script *script, const struct nvc_pdu *pdu)
{
	const struct nvc_slice want = line_of(script)->message;
	char want_text[200], got_text[200];

	ck_assert_uint_eq(pdu->sqe[4], NVC_FCTYPE_AUTH_SEND);
	ck_assert_uint_eq(nvc_get_le(pdu->sqe + 44, 4), pdu->data.len);
	ck_assert_msg(nvc_slice_equal(want, pdu->data), "expected %s (%zu bytes), got %s (%zu)",
		nvc_hex(want, want_text, sizeof(want_text)), want.len,
		nvc_hex(pdu->data, got_text, sizeof(got_text)), pdu->data.len);
	answer_success(script, pdu);
}

/* Authentication Receive, answered with the message of the line. */
static inline void give_message(struct script *script, const struct nvc_pdu *pdu)
{
	ck_assert_uint_eq(pdu->sqe[4], NVC_FCTYPE_AUTH_RECEIVE);
	say_data(script, cid_of(pdu), 0, line_of(script)->message, NVC_FLAG_LAST, NULL);
	answer_success(script, pdu);
}

/* The message, then the end: its response capsule is lost. */
static inline void give_message_and_end(struct script *script, const struct nvc_pdu *pdu)
{
	say_data(script, cid_of(pdu), 0, line_of(script)->message, NVC_FLAG_LAST, NULL);
	script->wants = NVC_END_FIN;
}

static inline void just_end(struct script *script, const struct nvc_pdu *pdu)
{
	(void)pdu;
	script->wants = NVC_END_FIN;
}

/* ---- the service ---- */

static void *script_accept(void *self, uint16_t port)
{
	struct script *script = self;

	(void)port;
	script->num_accepted++;
	script->mode = (struct nvc_pdu_mode){0};
	script->in_len = script->out_len = script->out_sent = 0;
	return script;
}

static bool script_find_psk(
	void *conn, const char *identity, struct nvc_secret *psk, uint8_t *hash_id)
{
	const struct script *script = conn;

	if (script->psk == NULL || strcmp(script->psk->identity, identity) != 0)
		return false;
	*psk = script->psk->psk;
	*hash_id = script->psk->hash_id;
	return true;
}

static void script_secured(void *conn, const char *identity, uint16_t suite)
{
	struct script *script = conn;

	ck_assert_str_eq(identity, script->psk->identity);
	ck_assert_uint_eq(suite, script->psk->hash_id == NVC_HASH_SHA384 ? 0x1302 : 0x1301);
	script->num_secured++;
}

static struct nvc_tls_accept script_tls(void *conn)
{
	const struct script *script = conn;

	return (struct nvc_tls_accept){
		.policy = script->policy, .find_psk = script_find_psk, .secured = script_secured};
}

static void script_input(void *conn, struct nvc_slice bytes)
{
	struct script *script = conn;
	size_t plen;

	ck_assert_uint_le(script->in_len + bytes.len, sizeof(script->in));
	memcpy(script->in + script->in_len, bytes.data, bytes.len);
	script->in_len += bytes.len;
	while (nvc_pdu_frame(nvc_slice_of(script->in, script->in_len), sizeof(script->in), &plen) ==
		NVC_OK) {
		struct nvc_pdu pdu;
		const struct script_line *line = line_of(script);

		ck_assert_msg(script->next < script->num_lines,
			"the script is at its end, but %02xh came", script->in[0]);
		ck_assert_int_eq(
			nvc_pdu_decode(nvc_slice_of(script->in, plen), &script->mode, &pdu, NULL),
			NVC_OK);
		ck_assert_uint_eq(pdu.ch.type, line->expect);
		ck_assert(!pdu.hdgst_wrong && !pdu.ddgst_wrong);
		if (line->act != NULL)
			line->act(script, &pdu);
		script->next++;
		memmove(script->in, script->in + plen, script->in_len - plen);
		script->in_len -= plen;
	}
}

static void script_ended(void *conn, enum nvc_end how)
{
	(void)conn;
	(void)how;
}

static size_t script_output(void *conn, uint8_t *out, size_t size)
{
	struct script *script = conn;
	size_t num = script->out_len - script->out_sent;

	if (script->flood && num == 0 && script->total_sent < (1u << 20)) {
		script->out_sent = 0;
		num = script->out_len;
	}
	if (num > size)
		num = size;
	if (script->cut_after > 0 && num > script->cut_after - script->total_sent)
		num = script->cut_after - script->total_sent;
	memcpy(out, script->out + script->out_sent, num);
	script->out_sent += num;
	script->total_sent += num;
	return num;
}

static enum nvc_end script_wants_end(void *conn)
{
	struct script *script = conn;

	if (script->cut_after > 0 && script->total_sent == script->cut_after)
		return NVC_END_FIN;
	return script->wants;
}

static void script_release(void *conn)
{
	((struct script *)conn)->num_released++;
}

/* One simulated world with one script in it and a host that wants to talk to it. */
struct stage {
	struct nvc_sim *sim;
	struct nvc_world world;
	struct nvc_service service;
	struct script script;
	struct nvc_host host;
	struct nvc_queue *queue;
};

static inline struct stage *stage_new(const struct script_line *lines, size_t num_lines)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	ck_assert_ptr_nonnull(stage);
	stage->script.lines = lines;
	stage->script.num_lines = num_lines;
	stage->service = (struct nvc_service){.self = &stage->script,
		.accept = script_accept,
		.tls = script_tls,
		.input = script_input,
		.ended = script_ended,
		.output = script_output,
		.wants_end = script_wants_end,
		.release = script_release};
	stage->sim = nvc_sim_new(1);
	ck_assert_ptr_nonnull(stage->sim);
	ck_assert_int_eq(nvc_sim_listen(stage->sim, 4420, &stage->service), NVC_OK);
	stage->world = nvc_sim_world(stage->sim);
	nvc_host_init(&stage->host, &stage->world);
	stage->host.addresses[NVC_PORT_MAIN] = (struct nvc_address){"sim", "4420"};
	stage->host.hostnqn = "nqn.2014-08.org.example:host";
	stage->host.subnqn = "nqn.2014-08.org.example:subsystem";
	return stage;
}

#define STAGE(...)                                                                                 \
	stage_new((const struct script_line[]){__VA_ARGS__},                                       \
		sizeof((const struct script_line[]){__VA_ARGS__}) / sizeof(struct script_line))

/* Ends the play; nothing of the script may be left. */
static inline void stage_close(struct stage *stage)
{
	nvc_host_fini(&stage->host);
	nvc_sim_free(stage->sim);
	ck_assert_uint_eq(stage->script.num_released, stage->script.num_accepted);
	if (stage->script.cut_after == 0)
		ck_assert_uint_eq(stage->script.next, stage->script.num_lines);
	free(stage);
}

/* Opens the queue and does the two lines that begin every script. */
static inline void stage_connect(struct stage *stage)
{
	struct nvc_error err = {0};

	ck_assert_msg(nvc_queue_establish(&stage->host, NULL, &stage->queue, &err) == NVC_OK, "%s",
		err.text);
}

/* Lines of a script. */
#define LINE(type, action)                                                                         \
	{                                                                                          \
		.expect = (type), .act = (action)                                                  \
	}
#define COMMAND(action) LINE(NVC_PDU_CAPSULE_CMD, action)
#define MESSAGE(action, the_message)                                                               \
	{                                                                                          \
		.expect = NVC_PDU_CAPSULE_CMD, .act = (action), .message = (the_message)           \
	}
#define OPENING LINE(NVC_PDU_IC_REQ, answer_ic), COMMAND(answer_connect)

#endif
