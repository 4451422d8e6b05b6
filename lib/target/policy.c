/* SPDX-License-Identifier: BSD-3-Clause */
/* What a queue asks of its host (Base 2.2, figures 750 to 754), and what it serves before it has got it. */
#include "target/internal.h"

/*
 * Figure 750: authentication policy x concatenation policy -> AUTHREQ. A queue under TLS needs no concatenation; under a
 * generated PSK it needs no authentication either, which the PSK has proven.
 */
static const uint32_t authreq_table[3][3] = {
	[NVC_POLICY_DISABLED] = {0, 0, 0},
	[NVC_POLICY_PERMITTED] = {0, 0, 0},
	[NVC_POLICY_REQUIRED] = {NVC_CONNECT_ATR, NVC_CONNECT_ATR, NVC_CONNECT_ASCR},
};

uint32_t nvc_policy_authreq(const struct conn *conn)
{
	const struct nvc_target *target = conn->target;
	const struct host *host = conn->controller->host;
	uint32_t authreq;

	if (!host)
		return 0;
	authreq = authreq_table[host->auth][host->concat];
	if (conn->secured && conn->generated) {
		if (KEPT(target, CONNECT_TLS_PROVEN))
			authreq = 0;
		else
			authreq = NVC_CONNECT_ASCR;
	} else if (conn->secured && authreq) {
		authreq = NVC_CONNECT_ATR;
	}
	if (host->auth == NVC_POLICY_PERMITTED && !conn->secured &&
		!KEPT(target, CONNECT_PERMITTED))
		authreq = NVC_CONNECT_ATR;
	if (conn->qid != 0) {
		if (!KEPT(target, CONNECT_IO_AUTHREQ))
			return 0;
		if (authreq) /* concatenation is not for I/O queues: they can only authenticate */
			authreq = NVC_CONNECT_ATR;
	}
	if ((authreq & NVC_CONNECT_ATR) && !KEPT(target, CONNECT_ATR))
		authreq = 0;
	if ((authreq & NVC_CONNECT_ASCR) && !KEPT(target, CONNECT_ASCR))
		authreq = 0;
	if ((authreq & NVC_CONNECT_ASCR) && !KEPT(target, CONNECT_EXCLUSIVE))
		authreq |= NVC_CONNECT_ATR;
	return authreq;
}

bool nvc_policy_open(const struct conn *conn)
{
	return conn->connected && !conn->denied && (conn->authreq == 0 || conn->authenticated);
}

static bool is_authentication(uint8_t fctype)
{
	return fctype == NVC_FCTYPE_AUTH_SEND || fctype == NVC_FCTYPE_AUTH_RECEIVE;
}

static bool gate_holds(const struct conn *conn, const struct nvc_cmd_fabrics *cmd)
{
	const struct nvc_target *target = conn->target;

	if (conn->qid != 0)
		return KEPT(target, GATE_IO);
	if (cmd->head.opc == NVC_OPC_FABRICS && cmd->fctype == NVC_FCTYPE_PROPERTY_SET)
		return KEPT(target, GATE_PROP_SET);
	if (cmd->head.opc == NVC_OPC_FABRICS && cmd->fctype == NVC_FCTYPE_PROPERTY_GET)
		return KEPT(target, GATE_PROP_GET);
	return KEPT(target, GATE_ADMIN);
}

uint16_t nvc_policy_gate(const struct conn *conn, struct nvc_slice sqe)
{
	const struct nvc_target *target = conn->target;
	struct nvc_cmd_fabrics cmd;

	if (nvc_decode(&nvc_cmd_fabrics_layout, sqe, &cmd, NULL, NULL) != NVC_OK)
		return NVC_SC_INTERNAL;
	if (cmd.head.opc == NVC_OPC_FABRICS && is_authentication(cmd.fctype))
		return 0;
	if (conn->denied)
		return NVC_SC_OPERATION_DENIED;
	if (conn->tx_auth && !conn->tx_auth->initial &&
		!(conn->secured ? KEPT(target, REAUTH_TLS_SERVES) : KEPT(target, REAUTH_SERVES)))
		return NVC_SC_AUTH_REQUIRED;
	if (nvc_policy_open(conn)) {
		if (conn->authreq == 0 && !conn->authenticated && !KEPT(target, GATE_OPEN))
			return NVC_SC_AUTH_REQUIRED;
		return 0;
	}
	if (!gate_holds(conn, &cmd))
		return 0;
	if (HOW(target, GATE_STATUS) == HOW_SEQUENCE)
		return NVC_SC_COMMAND_SEQUENCE;
	return (uint16_t)FIELD(target, GATE_STATUS, NVC_SC_AUTH_REQUIRED);
}
