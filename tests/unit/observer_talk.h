/* SPDX-License-Identifier: BSD-3-Clause */
/* Conversations made by hand with the encoders of lib/wire, for the tests of the observer. */
#ifndef NVC_TESTS_OBSERVER_TALK_H
#define NVC_TESTS_OBSERVER_TALK_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "wire/auth.h"
#include "wire/command.h"

enum { MAX_PDUS = 32, TALK_SIZE = 65536, HEAD = 24, CQE_AT = 8, QUEUE_SIZE = 32, ALL = 1000 };

/* The PDUs of a conversation, in order. */
struct talk {
	uint8_t bytes[TALK_SIZE];
	size_t len;
	size_t num;
	size_t start[MAX_PDUS + 1];
	enum nvc_direction direction[MAX_PDUS];
	struct nvc_pdu_mode mode;
	uint16_t cid;
};

/* How a conversation differs from the plainest one. */
struct plan {
	bool tls, two_way, same_null, refuse, short_success;
	uint16_t qid;
	uint8_t sc_c, dgst, dhgid, cattr;
	uint32_t authreq;
	uint32_t al;	/* 0: 4096 */
	size_t send_al; /* bytes of C2HData; 0: the message alone */
	bool no_auth, identify, split;
	uint8_t c1, c2, dh; /* what the values are made of; 0: as ever */
	uint32_t s1, s2;
};

/* Indices of PDUs in the conversation that `converse` makes. */
enum {
	IC_REQ,
	IC_RESP,
	CONNECT,
	CONNECT_RESP,
	NEGOTIATE,
	NEGOTIATE_RESP,
	RECEIVE_1,
	CHALLENGE,
	CHALLENGE_RESP,
	REPLY,
	REPLY_RESP,
	RECEIVE_2,
	SUCCESS1,
	SUCCESS1_RESP,
};

static void say(struct talk *talk, enum nvc_direction direction, const struct nvc_pdu *pdu)
{
	struct nvc_writer writer =
		nvc_writer_over(talk->bytes + talk->len, sizeof(talk->bytes) - talk->len);

	ck_assert_uint_lt(talk->num, MAX_PDUS);
	ck_assert_int_eq(nvc_pdu_encode(pdu, &talk->mode, NULL, &writer), NVC_OK);
	talk->direction[talk->num] = direction;
	talk->start[talk->num++] = talk->len;
	talk->len += writer.len;
	talk->start[talk->num] = talk->len;
}

static void say_ic(struct talk *talk, uint8_t dgst)
{
	struct nvc_pdu request = {.ch = {.type = NVC_PDU_IC_REQ}, .ic = {.dgst = dgst}};
	struct nvc_pdu response = {
		.ch = {.type = NVC_PDU_IC_RESP}, .ic = {.dgst = dgst, .max = 131072}};

	say(talk, NVC_H2C, &request);
	say(talk, NVC_C2H, &response);
	talk->mode.hdgst = dgst & NVC_DGST_HEADER;
	talk->mode.ddgst = dgst & NVC_DGST_DATA;
}

static void say_command(struct talk *talk, const struct nvc_layout *layout, const void *command,
	struct nvc_slice data)
{
	struct nvc_pdu pdu = {.ch = {.type = NVC_PDU_CAPSULE_CMD}, .data = data};
	struct nvc_writer writer = nvc_writer_over(pdu.sqe, sizeof(pdu.sqe));

	ck_assert_int_eq(nvc_encode(layout, command, NULL, &writer), NVC_OK);
	say(talk, NVC_H2C, &pdu);
}

static void say_response(struct talk *talk, uint16_t status, uint32_t result)
{
	struct nvc_pdu pdu = {.ch = {.type = NVC_PDU_CAPSULE_RESP}};
	struct nvc_cqe cqe = {.result = result,
		.sqhd = talk->cid % QUEUE_SIZE,
		.cid = talk->cid,
		.status_field = nvc_status_field(status, false)};
	struct nvc_writer writer = nvc_writer_over(pdu.cqe, sizeof(pdu.cqe));

	ck_assert_int_eq(nvc_encode(&nvc_cqe_layout, &cqe, NULL, &writer), NVC_OK);
	say(talk, NVC_C2H, &pdu);
}

static void say_data(struct talk *talk, struct nvc_slice data, uint32_t offset, bool last)
{
	struct nvc_pdu pdu = {.ch = {.type = NVC_PDU_C2H_DATA, .flags = last ? NVC_FLAG_LAST : 0},
		.xfer = {.cccid = talk->cid, .offset = offset, .length = (uint32_t)data.len},
		.data = data};

	say(talk, NVC_C2H, &pdu);
}

static struct nvc_sqe_head head(struct talk *talk, uint8_t opc, uint8_t sgl_id, uint32_t sgl_len)
{
	return (struct nvc_sqe_head){.opc = opc,
		.flags = NVC_PSDT_SGL_01B,
		.cid = ++talk->cid,
		.sgl_len = sgl_len,
		.sgl_id = sgl_id};
}

static void say_connect(struct talk *talk, const struct plan *plan)
{
	struct nvc_connect_data body = {.hostid = {1}, .cntlid = NVC_CNTLID_DYNAMIC};
	struct nvc_cmd_connect command = {.fctype = NVC_FCTYPE_CONNECT,
		.qid = plan->qid,
		.sqsize = QUEUE_SIZE - 1,
		.cattr = plan->cattr,
		.head = head(talk, NVC_OPC_FABRICS, NVC_SGL_IN_CAPSULE, NVC_CONNECT_DATA_LEN)};
	uint8_t data[NVC_CONNECT_DATA_LEN];
	struct nvc_writer writer = nvc_writer_over(data, sizeof(data));

	nvc_nqn_put(body.subnqn, "nqn.2014-08.org.nvmexpress:conform");
	nvc_nqn_put(body.hostnqn, "nqn.2014-08.org.nvmexpress:host");
	ck_assert_int_eq(nvc_encode(&nvc_connect_data_layout, &body, NULL, &writer), NVC_OK);
	ck_assert_uint_eq(writer.len, sizeof(data));
	say_command(talk, &nvc_cmd_connect_layout, &command, nvc_writer_slice(&writer));
	say_response(talk, NVC_SC_SUCCESS, 0xf1 | plan->authreq);
}

static void say_auth_send(struct talk *talk, const struct nvc_layout *layout, const void *message)
{
	uint8_t bytes[NVC_MAX_AUTH_MESSAGE];
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));
	struct nvc_cmd_auth command = {.fctype = NVC_FCTYPE_AUTH_SEND,
		.spsp0 = NVC_SPSP0,
		.spsp1 = NVC_SPSP1,
		.secp = NVC_SECP};

	ck_assert_int_eq(nvc_encode(layout, message, NULL, &writer), NVC_OK);
	command.length = (uint32_t)writer.len;
	command.head = head(talk, NVC_OPC_FABRICS, NVC_SGL_IN_CAPSULE, command.length);
	say_command(talk, &nvc_cmd_auth_send_layout, &command, nvc_writer_slice(&writer));
	say_response(talk, NVC_SC_SUCCESS, 0);
}

static void say_auth_receive(struct talk *talk, const struct plan *plan,
	const struct nvc_layout *layout, const void *message, size_t cut)
{
	uint8_t bytes[NVC_AUTH_RECEIVE_LEN] = {0};
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));
	uint32_t al = plan->al ? plan->al : NVC_AUTH_RECEIVE_LEN;
	struct nvc_cmd_auth command = {.fctype = NVC_FCTYPE_AUTH_RECEIVE,
		.spsp0 = NVC_SPSP0,
		.spsp1 = NVC_SPSP1,
		.secp = NVC_SECP,
		.length = al,
		.head = head(talk, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, al)};
	struct nvc_slice data;

	ck_assert_int_eq(nvc_encode(layout, message, NULL, &writer), NVC_OK);
	data = nvc_slice_of(bytes, cut ? cut : plan->send_al ? plan->send_al : writer.len);
	say_command(talk, &nvc_cmd_auth_receive_layout, &command, nvc_slice_of(NULL, 0));
	if (plan->split)
		say_data(talk, nvc_slice_sub(data, 0, 12), 0, false);
	say_data(talk, nvc_slice_sub(data, plan->split ? 12 : 0, data.len), plan->split ? 12 : 0,
		true);
	say_response(talk, NVC_SC_SUCCESS, 0);
}

static void say_negotiate(struct talk *talk, const struct plan *plan)
{
	struct nvc_dhchap_descriptor offer = {.authid = NVC_AUTH_DHCHAP,
		.halen = 1,
		.dhlen = 1,
		.hash_ids = {NVC_HASH_SHA256},
		.dh_ids = {plan->dhgid}};
	struct nvc_negotiate negotiate = {.t_id = 0x1234, .sc_c = plan->sc_c, .napd = 1};
	uint8_t bytes[NVC_DESCRIPTOR_LEN];
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));

	ck_assert_int_eq(nvc_encode(&nvc_dhchap_descriptor_layout, &offer, NULL, &writer), NVC_OK);
	negotiate.descriptors = nvc_writer_slice(&writer);
	say_auth_send(talk, &nvc_negotiate_layout, &negotiate);
}

static void say_challenge(struct talk *talk, const struct plan *plan)
{
	uint8_t c1[32], dh[NVC_MAX_DH_LEN] = {0};
	size_t dh_len = nvc_dhgroup_len(plan->dhgid);
	struct nvc_challenge challenge = {.t_id = 0x1234,
		.hl = 32,
		.hash_id = NVC_HASH_SHA256,
		.dhgid = plan->dhgid,
		.dhvlen = (uint16_t)dh_len,
		.seqnum = plan->s1 ? plan->s1 : 7,
		.cval = NVC_SLICE(c1),
		.dhval = nvc_slice_of(dh, dh_len)};

	memset(c1, plan->c1 ? plan->c1 : 0xc1, sizeof(c1));
	if (dh_len)
		dh[dh_len - 1] =
			plan->dh ? plan->dh : 2; /* g^1 is the smallest that is permitted */
	say_auth_receive(talk, plan, &nvc_challenge_layout, &challenge, 0);
}

static void say_reply(struct talk *talk, const struct plan *plan)
{
	uint8_t r1[32] = {1}, c2[32] = {0}, dh[NVC_MAX_DH_LEN] = {0};
	size_t dh_len = nvc_dhgroup_len(plan->dhgid);
	bool cvalid = plan->two_way || plan->sc_c;
	struct nvc_reply reply = {.t_id = 0x1234,
		.hl = 32,
		.cvalid = cvalid,
		.dhvlen = (uint16_t)dh_len,
		.seqnum = !plan->two_way ? 0
			  : plan->s2	 ? plan->s2
					 : 9,
		.rval = NVC_SLICE(r1),
		.cval = NVC_SLICE(c2),
		.dhval = nvc_slice_of(dh, dh_len)};

	if (cvalid)
		memset(c2, plan->c2 ? plan->c2 : 0xc2, sizeof(c2));
	if (dh_len)
		dh[dh_len - 1] = 3;
	say_auth_send(talk, &nvc_reply_layout, &reply);
}

static void say_outcome(struct talk *talk, const struct plan *plan)
{
	static const uint8_t
		r2[32]; /* zero is a possible R2; what it should be cannot be seen from outside */
	struct nvc_failure failure = {
		.t_id = 0x1234, .rcode = NVC_RCODE_FAILURE, .rcodeex = NVC_RCODEEX_FAILED};
	struct nvc_success1 success = {
		.t_id = 0x1234, .hl = 32, .rvalid = plan->two_way, .rval = NVC_SLICE(r2)};

	if (plan->refuse)
		say_auth_receive(talk, plan, &nvc_failure1_layout, &failure, 0);
	else
		say_auth_receive(
			talk, plan, &nvc_success1_layout, &success, plan->short_success ? 16 : 0);
}

static void say_identify(struct talk *talk)
{
	static const uint8_t page[64];
	struct nvc_cmd_nvme command = {.cdw10 = NVC_CNS_CONTROLLER,
		.head = head(talk, NVC_ADMIN_IDENTIFY, NVC_SGL_TRANSPORT, sizeof(page))};

	say_command(talk, &nvc_cmd_nvme_layout, &command, nvc_slice_of(NULL, 0));
	say_data(talk, NVC_SLICE(page), 0, true);
	say_response(talk, NVC_SC_SUCCESS, 0);
}

static void converse(struct talk *talk, const struct plan *plan)
{
	memset(talk, 0, sizeof(*talk));
	say_ic(talk, plan->dgst);
	say_connect(talk, plan);
	if (!plan->no_auth) {
		say_negotiate(talk, plan);
		say_challenge(talk, plan);
		say_reply(talk, plan);
		say_outcome(talk, plan);
	}
	if (plan->identify || plan->no_auth)
		say_identify(talk);
}

#endif
