/* SPDX-License-Identifier: BSD-3-Clause */
/* The host's side: judged in replay only, as the host emulator breaks these rules on purpose. */
#include <string.h>

#include "crypto/dh.h"
#include "observer/observer_state.h"

enum {
	MAX_PDA = 31,
	MIN_AL = 16 + NVC_MAX_HASH_LEN + NVC_MAX_DH_LEN,
	REPLY_HEAD_LEN = 16,
	CC_EN = 1,
	CC_SHN = 3 << 14,
};

static void judge_ic_req(
	struct nvc_obs_conn *conn, const struct nvc_pdu *pdu, struct nvc_slice bytes)
{
	if (pdu->ic.pfv != 0 || pdu->ic.pda > MAX_PDA || pdu->ch.flags)
		nvc_obs_violated(conn, REQ_H_01, "PFV 0, HPDA of at most 31, FLAGS 0",
			"PFV %u, HPDA %u, FLAGS %02xh", pdu->ic.pfv, pdu->ic.pda, pdu->ch.flags);
	if (!nvc_reserved_is_zero(nvc_pdu_layout(NVC_PDU_IC_REQ), bytes, NULL))
		nvc_obs_violated(
			conn, REQ_H_01, "reserved bytes zero", "a reserved byte of ICReq is set");
}

void nvc_obs_host_pdu(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu, enum nvc_fes fes,
	struct nvc_slice bytes)
{
	if (!nvc_obs_judges(conn, NVC_JUDGE_HOST))
		return;
	if (!conn->ic_req_seen && !conn->host_bent) {
		if (pdu->ch.type != NVC_PDU_IC_REQ || fes != NVC_FES_NONE)
			nvc_obs_violated(conn, REQ_H_01, "a well-formed ICReq first",
				"type %02xh, HLEN %u, PLEN %u", pdu->ch.type, pdu->ch.hlen,
				pdu->ch.plen);
		else
			judge_ic_req(conn, pdu, bytes);
	} else if (!conn->ic_resp_seen) {
		nvc_obs_violated(conn, REQ_H_02, "nothing before ICResp", "a PDU of type %02xh",
			pdu->ch.type);
	}
	if (pdu->hdgst_wrong || pdu->ddgst_wrong)
		nvc_obs_violated(conn, REQ_H_07, "digests that match", "a wrong %s",
			pdu->hdgst_wrong ? "HDGST" : "DDGST");
}

static void judge_connect(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu)
{
	struct nvc_connect_data data;
	struct nvc_cmd_connect cmd;

	if (nvc_decode(&nvc_cmd_connect_layout, NVC_SLICE(pdu->sqe), &cmd, NULL, NULL) != NVC_OK)
		return;
	if (cmd.recfmt != 0 || cmd.sqsize == 0)
		nvc_obs_violated(conn, REQ_H_14, "RECFMT 0, SQSIZE above 0", "RECFMT %u, SQSIZE %u",
			cmd.recfmt, cmd.sqsize);
	if (pdu->data.len == 0 && cmd.head.sgl_id == NVC_SGL_TRANSPORT)
		return; /* fetched by R2T */
	if (pdu->data.len != NVC_CONNECT_DATA_LEN ||
		nvc_decode(&nvc_connect_data_layout, pdu->data, &data, NULL, NULL) != NVC_OK) {
		nvc_obs_violated(conn, REQ_H_14, "1024 bytes of data", "%zu bytes", pdu->data.len);
		return;
	}
	if (nvc_slice_is_zero(NVC_SLICE(data.hostid)))
		nvc_obs_violated(conn, REQ_H_14, "a HOSTID other than 0", "HOSTID 0");
}

static void judge_auth_command(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu)
{
	struct nvc_cmd_auth cmd;
	bool send;

	if (nvc_decode(&nvc_cmd_auth_send_layout, NVC_SLICE(pdu->sqe), &cmd, NULL, NULL) != NVC_OK)
		return;
	send = cmd.fctype == NVC_FCTYPE_AUTH_SEND;
	if (cmd.spsp0 != NVC_SPSP0 || cmd.spsp1 != NVC_SPSP1 || cmd.secp != NVC_SECP ||
		cmd.length != cmd.head.sgl_len)
		nvc_obs_violated(conn, REQ_H_19,
			"SPSP0 01h, SPSP1 01h, SECP E9h, the length of the SGL",
			"SPSP0 %02xh, SPSP1 %02xh, SECP %02xh, length %u, SGL %u", cmd.spsp0,
			cmd.spsp1, cmd.secp, cmd.length, cmd.head.sgl_len);
	if (!send && cmd.length < MIN_AL)
		nvc_obs_violated(
			conn, REQ_H_20, "room for the largest message", "AL %u", cmd.length);
}

/* A host that leaves may shut the controller down before; one that enables it or goes on with admin commands stays. */
static bool goes_on(const struct nvc_pdu *pdu, const struct nvc_cmd_fabrics *cmd)
{
	struct nvc_cmd_property property;

	if (cmd->head.opc != NVC_OPC_FABRICS)
		return true;
	return cmd->fctype == NVC_FCTYPE_PROPERTY_SET &&
	       nvc_decode(&nvc_cmd_property_set_layout, NVC_SLICE(pdu->sqe), &property, NULL,
		       NULL) == NVC_OK &&
	       property.ofst == NVC_PROP_CC && property.value & CC_EN && !(property.value & CC_SHN);
}

void nvc_obs_host_command(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu)
{
	struct nvc_cmd_fabrics cmd;
	bool fabrics;

	if (!nvc_obs_judges(conn, NVC_JUDGE_HOST) ||
		nvc_decode(&nvc_cmd_fabrics_layout, NVC_SLICE(pdu->sqe), &cmd, NULL, NULL) !=
			NVC_OK)
		return;
	fabrics = cmd.head.opc == NVC_OPC_FABRICS;
	if (conn->connected && !conn->begun && conn->authreq & NVC_CONNECT_ATR &&
		!(fabrics && cmd.fctype == NVC_FCTYPE_AUTH_SEND))
		nvc_obs_violated(conn, REQ_H_15, "Authentication Send first",
			"opcode %02xh, FCTYPE %02xh", cmd.head.opc, cmd.fctype);
	if (conn->concatenated && goes_on(pdu, &cmd))
		nvc_obs_violated(conn, REQ_H_58,
			"the end of the connection in clear after NEWTLSPSK",
			"opcode %02xh, FCTYPE %02xh", cmd.head.opc, fabrics ? cmd.fctype : 0);
	if (conn->connected)
		conn->begun = true;
	if (!fabrics)
		return;
	if (cmd.fctype == NVC_FCTYPE_CONNECT)
		judge_connect(conn, pdu);
	else if (cmd.fctype == NVC_FCTYPE_AUTH_SEND || cmd.fctype == NVC_FCTYPE_AUTH_RECEIVE)
		judge_auth_command(conn, pdu);
}

/* Defined ids are below 6 for both lists; what is behind the first `num` must be zero. */
static bool list_is_good(const uint8_t ids[NVC_MAX_LIST], uint8_t num, bool hashes)
{
	bool seen[256] = {false};

	if (num == 0 || num > NVC_MAX_LIST)
		return false;
	for (int i = 0; i < num; i++) {
		bool vendor = ids[i] >= 0xe0 && ids[i] != 0xff;
		bool known = hashes ? nvc_hash_len(ids[i]) > 0 : nvc_dhgroup_known(ids[i]);

		if (seen[ids[i]] || !(known || vendor))
			return false;
		seen[ids[i]] = true;
	}
	return nvc_slice_is_zero(nvc_slice_of(ids + num, (size_t)(NVC_MAX_LIST - num)));
}

static bool offers_null(const struct nvc_dhchap_descriptor *descriptor)
{
	for (int i = 0; i < descriptor->dhlen && i < NVC_MAX_LIST; i++) {
		if (descriptor->dh_ids[i] == NVC_DH_NULL)
			return true;
	}
	return false;
}

static void judge_sc_c(struct nvc_obs_conn *conn, uint8_t sc_c)
{
	if (!conn->connected || sc_c == NVC_SC_C_NOSC)
		return;
	if (conn->qid != 0)
		nvc_obs_violated(conn, REQ_H_24, "SC_C 00h", "SC_C %02xh on an I/O queue", sc_c);
	else if ((sc_c == NVC_SC_C_NEWTLSPSK && conn->tls) ||
		 (sc_c == NVC_SC_C_REPLACETLSPSK && !conn->tls))
		nvc_obs_violated(conn, REQ_H_25, "NEWTLSPSK without, REPLACETLSPSK with TLS",
			"SC_C %02xh %s TLS", sc_c, conn->tls ? "over" : "without");
}

static void judge_negotiate(struct nvc_obs_conn *conn, struct nvc_slice message)
{
	struct nvc_dhchap_descriptor descriptor;
	struct nvc_negotiate negotiate;

	if (nvc_decode(&nvc_negotiate_layout, message, &negotiate, NULL, NULL) != NVC_OK ||
		negotiate.napd == 0 ||
		!nvc_reserved_is_zero(&nvc_negotiate_layout, message, NULL)) {
		nvc_obs_violated(
			conn, REQ_H_21, "a well-formed AUTH_Negotiate", "%zu bytes", message.len);
		return;
	}
	judge_sc_c(conn, negotiate.sc_c);
	if (nvc_decode(&nvc_dhchap_descriptor_layout, negotiate.descriptors, &descriptor, NULL,
		    NULL) != NVC_OK ||
		descriptor.authid != NVC_AUTH_DHCHAP)
		return;
	if (!list_is_good(descriptor.hash_ids, descriptor.halen, true) ||
		!list_is_good(descriptor.dh_ids, descriptor.dhlen, false))
		nvc_obs_violated(conn, REQ_H_21, "1 to 30 defined and distinct ids, then zeros",
			"HALEN %u, DHLEN %u", descriptor.halen, descriptor.dhlen);
	if (negotiate.sc_c != NVC_SC_C_NOSC && offers_null(&descriptor))
		nvc_obs_violated(conn, REQ_H_23, "no NULL group", "the NULL group with SC_C %02xh",
			negotiate.sc_c);
}

static void judge_reply_challenge(struct nvc_obs_conn *conn, const struct nvc_reply *reply)
{
	const struct nvc_obs_transaction *transaction = &conn->transaction;
	struct nvc_slice c1 = nvc_slice_of(transaction->c1, reply->cval.len);

	if (reply->cvalid == 0 && !nvc_slice_is_zero(reply->cval))
		nvc_obs_violated(conn, REQ_H_31, "C2 zero with CVALID 0", "C2 is not zero");
	if (reply->cvalid == 1 && reply->seqnum != 0) {
		if (nvc_slice_equal(reply->cval, c1))
			nvc_obs_violated(conn, REQ_H_32, "C2 other than C1", "C2 = C1");
		nvc_obs_fresh_reply(conn, reply);
	}
	if (transaction->sc_c != NVC_SC_C_NOSC && reply->cvalid != 1)
		nvc_obs_violated(conn, REQ_H_33, "CVALID 1", "CVALID %u with SC_C %02xh",
			reply->cvalid, transaction->sc_c);
}

static void judge_reply(struct nvc_obs_conn *conn, struct nvc_slice message)
{
	const struct nvc_obs_transaction *transaction = &conn->transaction;
	struct nvc_reply reply;

	if (transaction->state != NVC_OBS_CHALLENGED || !transaction->challenge_known)
		return;
	if (nvc_decode(&nvc_reply_layout, message, &reply, NULL, NULL) != NVC_OK ||
		reply.hl != nvc_hash_len(transaction->hash_id) ||
		reply.dhvlen != nvc_dhgroup_len(transaction->dhgid)) {
		nvc_obs_violated(conn, REQ_H_27, "the HL and DHVLEN of the Challenge",
			"%zu bytes for hash %02xh, group %02xh", message.len, transaction->hash_id,
			transaction->dhgid);
		return;
	}
	judge_reply_challenge(conn, &reply);
	if (transaction->dhgid != NVC_DH_NULL &&
		nvc_dh_check_public(transaction->dhgid, reply.dhval) != NVC_DH_CHECK_OK)
		nvc_obs_violated(
			conn, REQ_H_29, "a public value in 2 to p - 2", "a public value outside");
}

void nvc_obs_host_message(struct nvc_obs_conn *conn, struct nvc_slice message)
{
	const struct nvc_obs_transaction *transaction = &conn->transaction;
	uint16_t id, t_id;

	if (!nvc_obs_judges(conn, NVC_JUDGE_HOST) || !nvc_auth_peek(message, &id, &t_id))
		return;
	if (id == NVC_MSG_NEGOTIATE)
		judge_negotiate(conn, message);
	else if (transaction->offer_known && t_id != transaction->t_id)
		nvc_obs_violated(conn, REQ_H_26, "the T_ID of AUTH_Negotiate", "T_ID %04xh", t_id);
	if (id == NVC_MSG_REPLY)
		judge_reply(conn, message);
}
