/* SPDX-License-Identifier: BSD-3-Clause */
/* What the target does with each PDU of a host (TCP Transport 1.0, 3.5 and 3.6.2). */
#include "target/teardown.h"

/* The header of a PDU, which a TermReq quotes. */
static struct nvc_slice header_of(struct nvc_slice bytes)
{
	size_t len = bytes.len > 2 ? bytes.data[2] : bytes.len;

	return nvc_slice_sub(bytes, 0, len < NVC_PDU_CH_LEN ? NVC_PDU_CH_LEN : len);
}

/* Which rule a fault that nvc_pdu_check has found belongs to; FEI is the offset of the field. */
static bool header_rule_kept(const struct conn *conn, uint8_t type, uint32_t fei)
{
	const struct nvc_target *target = conn->target;

	switch (fei) {
	case 0:
		return KEPT(target, PDU_TYPE);
	case 2:
		return type == NVC_PDU_IC_REQ ? KEPT(target, IC_HLEN) : KEPT(target, PDU_HLEN);
	case 3:
		return KEPT(target, PDU_PDO);
	case 4:
		return type == NVC_PDU_IC_REQ ? KEPT(target, IC_PLEN) : KEPT(target, PDU_PLEN);
	default:
		return true;
	}
}

static void answer_icreq(struct conn *conn, const struct nvc_pdu *req, struct nvc_slice header)
{
	const struct nvc_target *target = conn->target;
	struct nvc_pdu resp = {.ch.type = NVC_PDU_IC_RESP};

	if (conn->phase != CONN_NEW) {
		if (KEPT(target, IC_ONCE))
			nvc_conn_fatal(conn, NVC_FES_SEQUENCE, 0, header);
		return;
	}
	if (req->ic.pfv != 0 && KEPT(target, IC_PFV)) {
		nvc_conn_fatal(conn, NVC_FES_UNSUPPORTED, 8, header);
		return;
	}
	if (req->ic.pda > 31 && KEPT(target, IC_HPDA)) {
		nvc_conn_fatal(conn, NVC_FES_INVALID_FIELD, 10, header);
		return;
	}
	resp.ic.pfv = (uint16_t)FIELD(target, ICRESP_PFV, 0);
	resp.ic.pda = target->limits.cpda;
	if (!KEPT(target, ICRESP_CPDA))
		resp.ic.pda = 32;
	resp.ic.dgst = req->ic.dgst & (NVC_DGST_HEADER | NVC_DGST_DATA);
	conn->rx.hdgst = conn->tx.hdgst = resp.ic.dgst & NVC_DGST_HEADER;
	conn->rx.ddgst = conn->tx.ddgst = resp.ic.dgst & NVC_DGST_DATA;
	if (!KEPT(target, ICRESP_DGST))
		resp.ic.dgst = NVC_DGST_HEADER | NVC_DGST_DATA;
	conn->tx.pda = req->ic.pda & 31;
	resp.ic.max = (uint32_t)FIELD(target, ICRESP_MAXH2CDATA, target->limits.maxh2cdata);
	conn->phase = CONN_READY;
	nvc_conn_send(conn, &resp);
}

static void take_term_req(struct conn *conn)
{
	if (!KEPT(conn->target, H2C_TERM))
		return;
	nvc_target_say(conn->target, "H2CTermReq: the host ends the connection");
	nvc_teardown(conn, TD_FATAL);
	nvc_conn_close(conn, NVC_END_FIN);
}

/* True when the header is in order, or when a defect looks away and the PDU is dropped (`skip`). */
static bool check_header(struct conn *conn, struct nvc_slice bytes, bool *skip)
{
	struct nvc_ch ch;
	uint32_t fei = 0;
	enum nvc_fes fes;

	if (nvc_decode(&nvc_ch_layout, bytes, &ch, NULL, NULL) != NVC_OK)
		return false;
	if (conn->phase == CONN_NEW && ch.type != NVC_PDU_IC_REQ && !(ch.type & 1) &&
		ch.type <= NVC_PDU_H2C_DATA) {
		*skip = !KEPT(conn->target, IC_FIRST);
		if (!*skip)
			nvc_conn_fatal(conn, NVC_FES_SEQUENCE, 0, header_of(bytes));
		return *skip;
	}
	fes = nvc_pdu_check(&ch, NVC_H2C, &conn->rx, &fei);
	if (fes == NVC_FES_NONE)
		return true;
	*skip = !header_rule_kept(conn, ch.type, fei);
	if (!*skip)
		nvc_conn_fatal(conn, fes, fei, header_of(bytes));
	return *skip;
}

void nvc_conn_header(struct conn *conn, struct nvc_slice bytes)
{
	bool skip = false;

	if (bytes.len < NVC_PDU_CH_LEN || bytes.len < bytes.data[2])
		return;
	if (bytes.data[0] == NVC_PDU_H2C_TERM_REQ)
		take_term_req(conn);
	else
		check_header(conn, bytes, &skip);
}

void nvc_conn_pdu(struct conn *conn, struct nvc_slice bytes)
{
	const struct nvc_target *target = conn->target;
	struct nvc_slice header = header_of(bytes);
	struct nvc_pdu pdu;
	bool skip = false;

	if (bytes.data[0] == NVC_PDU_H2C_TERM_REQ) {
		take_term_req(conn); /* of whatever length: its contents change nothing */
		return;
	}
	if (!check_header(conn, bytes, &skip) || skip)
		return;
	if (nvc_pdu_decode(bytes, &conn->rx, &pdu, NULL) != NVC_OK) {
		nvc_conn_fatal(conn, NVC_FES_INVALID_FIELD, 4, header);
		return;
	}
	if (pdu.hdgst_wrong && KEPT(target, HDGST)) {
		nvc_conn_fatal(conn, NVC_FES_HEADER_DIGEST, pdu.hdgst, header);
		return;
	}
	switch (pdu.ch.type) {
	case NVC_PDU_IC_REQ:
		answer_icreq(conn, &pdu, header);
		break;
	case NVC_PDU_CAPSULE_CMD:
		nvc_command_capsule(conn, &pdu);
		break;
	case NVC_PDU_H2C_DATA:
		nvc_command_data(conn, &pdu, header);
		break;
	default:
		nvc_conn_fatal(conn, NVC_FES_INVALID_FIELD, 0, header);
		break;
	}
}
