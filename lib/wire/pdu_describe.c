/* SPDX-License-Identifier: BSD-3-Clause */
/* One line per PDU, for traces and failure reports. */
#include <ctype.h>
#include <inttypes.h>

#include "wire/auth.h"
#include "wire/command.h"
#include "wire/pdu.h"
#include "wire/text.h"

static void add_auth(struct nvc_text *text, struct nvc_slice message)
{
	size_t room;
	char *rest = nvc_text_rest(text, &room);

	nvc_auth_describe(message, rest, room);
	nvc_text_skip(text);
}

/* A peer's NQN may hold anything; a terminal must not see more than printable characters. */
static void add_nqn(
	struct nvc_text *text, const char *label, const uint8_t field[NVC_NQN_FIELD_LEN])
{
	char nqn[NVC_NQN_MAX_LEN + 1];

	if (!nvc_nqn_get(field, nqn)) {
		nvc_text_add(text, " %s=(invalid)", label);
		return;
	}
	for (char *c = nqn; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	nvc_text_add(text, " %s=%s", label, nqn);
}

static void add_connect(struct nvc_text *text, struct nvc_slice sqe, struct nvc_slice data)
{
	struct nvc_cmd_connect cmd;
	struct nvc_connect_data body;

	nvc_decode(&nvc_cmd_connect_layout, sqe, &cmd, NULL, NULL);
	nvc_text_add(text, " qid=%u sqsize=%u cattr=%u kato=%" PRIu32, cmd.qid, cmd.sqsize,
		cmd.cattr, cmd.kato);
	if (nvc_decode(&nvc_connect_data_layout, data, &body, NULL, NULL) != NVC_OK)
		return;
	nvc_text_add(text, " cntlid=%04xh", body.cntlid);
	add_nqn(text, "hostnqn", body.hostnqn);
	add_nqn(text, "subnqn", body.subnqn);
}

static void add_property(struct nvc_text *text, struct nvc_slice sqe)
{
	struct nvc_cmd_property cmd;

	nvc_decode(&nvc_cmd_property_set_layout, sqe, &cmd, NULL, NULL);
	nvc_text_add(text, " ofst=%" PRIx32 "h attrib=%u", cmd.ofst, cmd.attrib);
	if (cmd.fctype == NVC_FCTYPE_PROPERTY_SET)
		nvc_text_add(text, " value=%" PRIx64 "h", cmd.value);
}

static void add_auth_command(struct nvc_text *text, struct nvc_slice sqe, struct nvc_slice data)
{
	struct nvc_cmd_auth cmd;
	bool send;

	nvc_decode(&nvc_cmd_auth_send_layout, sqe, &cmd, NULL, NULL);
	send = cmd.fctype == NVC_FCTYPE_AUTH_SEND;
	if (cmd.spsp0 != NVC_SPSP0 || cmd.spsp1 != NVC_SPSP1 || cmd.secp != NVC_SECP)
		nvc_text_add(text, " secp=%02xh spsp0=%u spsp1=%u", cmd.secp, cmd.spsp0, cmd.spsp1);
	nvc_text_add(text, " %s=%" PRIu32, send ? "tl" : "al", cmd.length);
	if (send && data.len) {
		nvc_text_add(text, " ");
		add_auth(text, data);
	}
}

/* Which queue a PDU belongs to is not in it, and two opcodes mean one thing on each kind. */
static const char *nvme_name(struct nvc_slice sqe)
{
	switch (sqe.data[0]) {
	case NVC_IO_FLUSH:
		return "Flush or Delete I/O Submission Queue";
	case NVC_IO_WRITE:
		return "Write or Create I/O Submission Queue";
	case NVC_IO_READ:
		return "Read or Get Log Page";
	default:
		return nvc_cmd_name(sqe, false);
	}
}

static void add_command(struct nvc_text *text, const struct nvc_pdu *pdu)
{
	struct nvc_slice sqe = NVC_SLICE(pdu->sqe);
	const struct nvc_layout *layout = nvc_cmd_layout(sqe);
	struct nvc_cmd_nvme nvme;
	struct nvc_cmd_fabrics fabrics;

	nvc_decode(&nvc_cmd_nvme_layout, sqe, &nvme, NULL, NULL);
	nvc_text_add(text, " cid=%u %s", nvme.head.cid,
		layout == &nvc_cmd_nvme_layout ? nvme_name(sqe) : layout->name);
	if (layout == &nvc_cmd_connect_layout) {
		add_connect(text, sqe, pdu->data);
	} else if (layout == &nvc_cmd_property_get_layout ||
		   layout == &nvc_cmd_property_set_layout) {
		add_property(text, sqe);
	} else if (layout == &nvc_cmd_auth_send_layout || layout == &nvc_cmd_auth_receive_layout) {
		add_auth_command(text, sqe, pdu->data);
	} else if (layout == &nvc_cmd_fabrics_layout) {
		nvc_decode(&nvc_cmd_fabrics_layout, sqe, &fabrics, NULL, NULL);
		nvc_text_add(text, " fctype=%02xh", fabrics.fctype);
	} else if (layout == &nvc_cmd_nvme_layout) {
		nvc_text_add(text,
			" opc=%02xh nsid=%" PRIu32 " cdw10=%" PRIx32 "h cdw11=%" PRIx32 "h",
			nvme.head.opc, nvme.nsid, nvme.cdw10, nvme.cdw11);
	}
}

static void add_response(struct nvc_text *text, const struct nvc_pdu *pdu)
{
	struct nvc_cqe cqe;
	uint16_t status;

	nvc_decode(&nvc_cqe_layout, NVC_SLICE(pdu->cqe), &cqe, NULL, NULL);
	status = nvc_cqe_status(cqe.status_field);
	nvc_text_add(text, " cid=%u status=%03xh %s%s result=%" PRIx64 "h sqhd=%u", cqe.cid, status,
		nvc_status_name(status), cqe.status_field & 0x8000 ? " DNR" : "", cqe.result,
		cqe.sqhd);
}

/* Data PDUs do not say what they carry. Only a whole message of the right direction is taken for one, so that a
 * block of zeros does not read as AUTH_Negotiate. */
static bool looks_like_auth(const struct nvc_pdu *pdu)
{
	bool c2h = pdu->ch.type == NVC_PDU_C2H_DATA;
	uint16_t message, t_id;

	if (pdu->xfer.offset != 0 || !nvc_auth_peek(pdu->data, &message, &t_id))
		return false;
	switch (message) {
	case NVC_MSG_FAILURE1:
	case NVC_MSG_CHALLENGE:
	case NVC_MSG_SUCCESS1:
		return c2h;
	case NVC_MSG_FAILURE2:
	case NVC_MSG_REPLY:
	case NVC_MSG_SUCCESS2:
		return !c2h;
	case NVC_MSG_NEGOTIATE:
		return !c2h && pdu->data.len > 7 && pdu->data.data[7] != 0;
	default:
		return false;
	}
}

static void add_transfer(struct nvc_text *text, const struct nvc_pdu *pdu)
{
	bool r2t = pdu->ch.type == NVC_PDU_R2T;

	nvc_text_add(text, " cccid=%u", pdu->xfer.cccid);
	if (pdu->ch.type != NVC_PDU_C2H_DATA)
		nvc_text_add(text, " ttag=%u", pdu->xfer.ttag);
	nvc_text_add(text, " %s=%" PRIu32 " %s=%" PRIu32, r2t ? "r2to" : "datao", pdu->xfer.offset,
		r2t ? "r2tl" : "datal", pdu->xfer.length);
	if (r2t)
		return;
	nvc_text_add(text, "%s%s ", pdu->ch.flags & NVC_FLAG_LAST ? " LAST" : "",
		pdu->ch.flags & NVC_FLAG_SUCCESS ? " SUCCESS" : "");
	if (looks_like_auth(pdu))
		add_auth(text, pdu->data);
	else
		nvc_text_add(text, "data");
}

static void add_term(struct nvc_text *text, const struct nvc_pdu *pdu)
{
	const char *name = nvc_name_of(nvc_fes_names, pdu->term.fes);

	nvc_text_add(text, " fes=%02xh %s fei=%" PRIu32, pdu->term.fes, name ? name : "(reserved)",
		pdu->term.fei);
	if (pdu->data.len)
		nvc_text_add(text, " quoting %zu bytes", pdu->data.len);
}

static void add_ic(struct nvc_text *text, const struct nvc_pdu *pdu)
{
	bool request = pdu->ch.type == NVC_PDU_IC_REQ;

	nvc_text_add(text, " pfv=%u %s=%u dgst=%u %s=%" PRIu32, pdu->ic.pfv,
		request ? "hpda" : "cpda", pdu->ic.pda, pdu->ic.dgst,
		request ? "maxr2t" : "maxh2cdata", pdu->ic.max);
}

char *nvc_pdu_describe(const struct nvc_pdu *pdu, char *out, size_t size)
{
	struct nvc_text text = nvc_text_over(out, size);
	const char *name = nvc_name_of(nvc_pdu_type_names, pdu->ch.type);

	if (!name) {
		nvc_text_add(&text, "PDU of unknown type %02xh plen=%" PRIu32, pdu->ch.type,
			pdu->ch.plen);
		return out;
	}
	nvc_text_add(&text, "%s", name);
	switch (pdu->ch.type) {
	case NVC_PDU_IC_REQ:
	case NVC_PDU_IC_RESP:
		add_ic(&text, pdu);
		break;
	case NVC_PDU_H2C_TERM_REQ:
	case NVC_PDU_C2H_TERM_REQ:
		add_term(&text, pdu);
		break;
	case NVC_PDU_CAPSULE_CMD:
		add_command(&text, pdu);
		break;
	case NVC_PDU_CAPSULE_RESP:
		add_response(&text, pdu);
		break;
	default:
		add_transfer(&text, pdu);
	}
	if (pdu->hdgst_wrong)
		nvc_text_add(&text, " HDGST wrong");
	if (pdu->ddgst_wrong)
		nvc_text_add(&text, " DDGST wrong");
	return out;
}
