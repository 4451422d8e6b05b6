/* SPDX-License-Identifier: BSD-3-Clause */
/* PDUs: headers, flags, digests, ICReq/ICResp and TermReq (TCP Transport 1.0, 3.6.2). */
#include <stdio.h>
#include <string.h>

#include "observer/observer_state.h"

enum { FEI_FLAGS = 1, FEI_PDO = 3, MAX_PDA = 31, MIN_MAXH2CDATA = 4096, DGST_BITS = 3 };

/* FLAGS that table 1.3 of docs/protocol.md gives to a type; all others are reserved. */
static uint8_t allowed_flags(uint8_t type)
{
	switch (type) {
	case NVC_PDU_CAPSULE_RESP:
	case NVC_PDU_R2T:
		return NVC_FLAG_HDGST;
	case NVC_PDU_C2H_DATA:
		return NVC_FLAG_HDGST | NVC_FLAG_DDGST | NVC_FLAG_LAST | NVC_FLAG_SUCCESS;
	default:
		return 0;
	}
}

static void judge_flags(struct nvc_obs_conn *conn, const struct nvc_ch *ch)
{
	uint8_t reserved = ch->flags & (uint8_t)~allowed_flags(ch->type);
	bool hdgst = ch->flags & NVC_FLAG_HDGST, ddgst = ch->flags & NVC_FLAG_DDGST;

	if (reserved) {
		enum req_id req = ch->type == NVC_PDU_IC_RESP	     ? REQ_C_001
				  : ch->type == NVC_PDU_C2H_TERM_REQ ? REQ_C_027
								     : REQ_C_040;

		nvc_obs_violated(conn, req, "reserved bits of FLAGS zero",
			"FLAGS %02xh in a PDU of type %02xh", ch->flags, ch->type);
	}
	if (allowed_flags(ch->type) & NVC_FLAG_HDGST && hdgst != conn->hdgst)
		nvc_obs_violated(conn, REQ_C_021, "HDGSTF as agreed in ICReq and ICResp",
			"HDGSTF %d, agreed %d", hdgst, conn->hdgst);
	if (allowed_flags(ch->type) & NVC_FLAG_DDGST && ddgst != conn->ddgst)
		nvc_obs_violated(conn, REQ_C_022, "DDGSTF as agreed in ICReq and ICResp",
			"DDGSTF %d, agreed %d", ddgst, conn->ddgst);
}

static void judge_header(
	struct nvc_obs_conn *conn, const struct nvc_ch *ch, enum nvc_fes fes, uint32_t fei)
{
	enum req_id req = REQ_N_003;

	if (fes == NVC_FES_NONE || fei == FEI_FLAGS) /* flags have rows of their own */
		return;
	if (ch->type == NVC_PDU_IC_RESP)
		req = REQ_C_001;
	else if (ch->type == NVC_PDU_C2H_TERM_REQ)
		req = REQ_C_027;
	else if (ch->type == NVC_PDU_C2H_DATA && fei == FEI_PDO && conn->ic_req.pda &&
		 !conn->host_bent)
		req = REQ_C_010;
	nvc_obs_violated(conn, req, "TYPE, HLEN, PDO and PLEN that fit each other",
		"type %02xh, HLEN %u, PDO %u, PLEN %u; wrong at byte %u", ch->type, ch->hlen,
		ch->pdo, ch->plen, fei);
}

/* An ICReq that had to be refused, as far as its header could be framed. */
static void judge_acceptance(struct nvc_obs_conn *conn)
{
	if (conn->ic_req.pfv != 0)
		nvc_obs_violated(
			conn, REQ_C_008, "C2HTermReq", "ICResp to PFV %u", conn->ic_req.pfv);
	if (conn->ic_req.pda > MAX_PDA)
		nvc_obs_violated(
			conn, REQ_C_009, "C2HTermReq", "ICResp to HPDA %u", conn->ic_req.pda);
}

static void take_ic_resp(
	struct nvc_obs_conn *conn, const struct nvc_pdu *pdu, struct nvc_slice bytes)
{
	const struct nvc_ic *ic = &pdu->ic;
	uint8_t unasked = ic->dgst & DGST_BITS & (uint8_t)~conn->ic_req.dgst;

	if (conn->ic_resp_seen) {
		nvc_obs_violated(conn, REQ_C_014, "one ICResp", "a second ICResp");
		return;
	}
	conn->ic_resp_seen = true;
	if (ic->pfv != 0)
		nvc_obs_violated(conn, REQ_C_002, "PFV 0", "PFV %u", ic->pfv);
	if (ic->pda > MAX_PDA)
		nvc_obs_violated(conn, REQ_C_003, "CPDA of at most 31", "CPDA %u", ic->pda);
	if (!nvc_reserved_is_zero(nvc_pdu_layout(NVC_PDU_IC_RESP), bytes, NULL) ||
		ic->dgst & (uint8_t)~DGST_BITS)
		nvc_obs_violated(conn, REQ_C_003, "reserved bytes zero",
			"a reserved byte or bit of ICResp is set");
	if (ic->max % 4)
		nvc_obs_violated(conn, REQ_C_004, "a multiple of 4", "MAXH2CDATA %u", ic->max);
	if (ic->max < MIN_MAXH2CDATA)
		nvc_obs_violated(conn, REQ_C_005, "4096 or more", "MAXH2CDATA %u", ic->max);
	if (!conn->host_bent && unasked)
		nvc_obs_violated(conn, REQ_C_006, "only digests the host asked for",
			"DGST %u after a request for %u", ic->dgst, conn->ic_req.dgst);
	if (!conn->host_bent)
		judge_acceptance(conn);
	conn->hdgst = conn->ic_req.dgst & ic->dgst & NVC_DGST_HEADER;
	conn->ddgst = conn->ic_req.dgst & ic->dgst & NVC_DGST_DATA;
	conn->cpda = ic->pda;
}

/* ICResp comes first, or a TermReq in its place. */
static void judge_first(struct nvc_obs_conn *conn, uint8_t type)
{
	if (conn->ic_resp_seen || type == NVC_PDU_IC_RESP || type == NVC_PDU_C2H_TERM_REQ)
		return;
	if (conn->ic_req_seen)
		nvc_obs_violated(conn, REQ_C_001, "ICResp first", "a PDU of type %02xh", type);
	else
		nvc_obs_violated(conn, REQ_C_013, "C2HTermReq, as the host did not send ICReq",
			"a PDU of type %02xh", type);
}

static void judge_reserved(
	struct nvc_obs_conn *conn, const struct nvc_pdu *pdu, struct nvc_slice bytes)
{
	if (!nvc_reserved_is_zero(nvc_pdu_layout(pdu->ch.type), bytes, NULL))
		nvc_obs_violated(conn, REQ_N_028, "reserved bytes zero",
			"a reserved byte of a PDU of type %02xh is set", pdu->ch.type);
}

static void controller_pdu(
	struct nvc_obs_conn *conn, const struct nvc_pdu *pdu, struct nvc_slice bytes)
{
	if (pdu->hdgst_wrong)
		nvc_obs_violated(conn, REQ_C_021, "the CRC-32C of the header",
			"HDGST %08xh does not match", pdu->hdgst);
	if (pdu->ddgst_wrong)
		nvc_obs_violated(conn, REQ_C_022, "the CRC-32C of the data",
			"DDGST %08xh does not match", pdu->ddgst);
	switch (pdu->ch.type) {
	case NVC_PDU_IC_RESP:
		take_ic_resp(conn, pdu, bytes);
		break;
	case NVC_PDU_C2H_TERM_REQ:
		conn->c2h_term = true;
		break;
	case NVC_PDU_CAPSULE_RESP:
		nvc_obs_response(conn, pdu);
		break;
	case NVC_PDU_C2H_DATA:
		judge_reserved(conn, pdu, bytes);
		nvc_obs_c2h_data(conn, pdu);
		break;
	default:
		judge_reserved(conn, pdu, bytes);
		nvc_obs_r2t(conn, pdu);
	}
}

static void host_pdu(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu, enum nvc_fes fes)
{
	bool first = !conn->ic_req_seen;

	if (fes != NVC_FES_NONE || pdu->hdgst_wrong)
		nvc_obs_host_is_bent(conn, pdu->hdgst_wrong ? "wrong header digest of the host"
							    : "PDU of the host out of order");
	if (first != (pdu->ch.type == NVC_PDU_IC_REQ))
		nvc_obs_host_is_bent(conn, first ? "first PDU is not ICReq" : "second ICReq");
	if (conn->host_bent)
		return;
	switch (pdu->ch.type) {
	case NVC_PDU_IC_REQ:
		conn->ic_req_seen = true;
		conn->ic_req = pdu->ic;
		break;
	case NVC_PDU_H2C_TERM_REQ:
		conn->h2c_term = true;
		break;
	case NVC_PDU_CAPSULE_CMD:
		nvc_obs_host_command(conn, pdu);
		nvc_obs_command_sent(conn, pdu);
		break;
	default:
		nvc_obs_h2c_data(conn, pdu);
	}
}

/* A message that came in several C2HData is shown whole behind the last of them. */
static void describe(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu, char *text, size_t size)
{
	const struct nvc_obs_command *command;
	size_t len;

	nvc_pdu_describe(pdu, text, size);
	if (pdu->ch.type != NVC_PDU_C2H_DATA || !(pdu->ch.flags & NVC_FLAG_LAST) ||
		pdu->xfer.offset == 0)
		return;
	command = nvc_obs_find(conn, pdu->xfer.cccid);
	len = strlen(text);
	if (!command || !nvc_obs_is_fabrics(command, NVC_FCTYPE_AUTH_RECEIVE) || len + 2 >= size)
		return;
	text[len++] = ' ';
	nvc_auth_describe(
		nvc_slice_of(command->message, command->message_len), text + len, size - len);
}

static void judge_pdu(struct nvc_obs_conn *conn, enum nvc_direction direction,
	const struct nvc_pdu *pdu, bool decoded, enum nvc_fes fes, uint32_t fei,
	struct nvc_slice bytes)
{
	bool known = nvc_pdu_layout(pdu->ch.type) && (pdu->ch.type & 1) == (direction == NVC_C2H);

	if (direction == NVC_H2C) {
		nvc_obs_host_pdu(conn, pdu, fes, bytes);
		if (decoded)
			host_pdu(conn, pdu, fes);
		else
			nvc_obs_host_is_bent(conn, "PDU of the host cannot be read");
		return;
	}
	if (conn->c2h_term)
		nvc_obs_violated(conn, REQ_C_028, "nothing after C2HTermReq", "a PDU of type %02xh",
			pdu->ch.type);
	judge_first(conn, pdu->ch.type);
	if (known)
		judge_flags(conn, &pdu->ch);
	judge_header(conn, &pdu->ch, fes, fei);
	if (known && decoded)
		controller_pdu(conn, pdu, bytes);
}

void nvc_obs_pdu(struct nvc_obs_conn *conn, enum nvc_direction direction, struct nvc_slice bytes)
{
	struct nvc_pdu_mode mode = {.hdgst = conn->hdgst,
		.ddgst = conn->ddgst,
		.pda = direction == NVC_H2C ? conn->cpda : conn->ic_req.pda};
	const bool shown = conn->observer->sink.packet != NULL;
	struct nvc_error err = {0};
	struct nvc_pdu pdu;
	char text[640];
	enum nvc_fes fes;
	uint32_t fei;
	bool decoded;

	conn->observer->packets++;
	decoded = nvc_pdu_decode(bytes, &mode, &pdu, &err) == NVC_OK;
	fes = nvc_pdu_check(&pdu.ch, direction, &mode, &fei);
	if (decoded) {
		if (direction == NVC_C2H && pdu.ch.type == NVC_PDU_C2H_DATA)
			nvc_obs_keep_data(conn, &pdu);
		if (shown)
			describe(conn, &pdu, text, sizeof(text));
	} else {
		snprintf(text, sizeof(text), "unreadable PDU: %s", err.text);
	}
	if (shown)
		nvc_obs_show(conn, direction, bytes, text);
	judge_pdu(conn, direction, &pdu, decoded, fes, fei, bytes);
}
