/* SPDX-License-Identifier: BSD-3-Clause */
/* The ports of NVMe/TCP: those it has by custom, and those where the capture shows it. */
#include "capture/replay_state.h"

enum { PORT_SUBSYSTEM = 4420, PORT_DISCOVERY = 8009 };

const char NVC_BEGINS_IN_MIDDLE[] =
	"it begins in the middle: the connection began before the capture";

void nvc_ports_found(struct nvc_replay_state *replay, uint16_t port)
{
	replay->ports[port / 8] |= (uint8_t)(1u << port % 8);
}

static bool is_known(const struct nvc_replay_state *replay, uint16_t port)
{
	return port == PORT_SUBSYSTEM || port == PORT_DISCOVERY ||
	       (replay->ports[port / 8] >> port % 8 & 1);
}

bool nvc_ports_have(const struct nvc_flow *flow)
{
	const uint16_t *port = flow->conn->ends.port;

	return is_known(flow->replay, port[!flow->host]) ||
	       (!flow->conn->from_start && is_known(flow->replay, port[flow->host]));
}

void nvc_ports_pass_over(struct nvc_flow *flow)
{
	const struct nvc_tcp_ends *ends = &flow->conn->ends;

	flow->kind = NVC_FLOW_FOREIGN;
	for (int side = 0; side < 2; side++) {
		struct nvc_replay_passed *passed = &flow->replay->passed[ends->port[side]];

		if (flow->conn->from_start && side == flow->host)
			continue;
		if (!passed->num++) {
			passed->conn = flow->id;
			passed->in_middle = !flow->conn->from_start;
		}
	}
}

void nvc_ports_unread(struct nvc_replay_unread *unread, const struct nvc_tcp_ends *ends)
{
	for (int side = 0; side < 2; side++)
		unread->ports[ends->port[side] / 8] |= (uint8_t)(1u << ends->port[side] % 8);
	unread->anywhere = unread->anywhere || (!ends->port[0] && !ends->port[1]);
}

static bool may_be_ours(
	const struct nvc_replay_state *replay, const struct nvc_replay_unread *unread)
{
	bool ours = unread->anywhere;

	for (unsigned int port = 0; port < NVC_REPLAY_NUM_PORTS && !ours; port++)
		ours = (unread->ports[port / 8] >> port % 8 & 1) &&
		       is_known(replay, (uint16_t)port);
	return ours;
}

void nvc_ports_settle(struct nvc_replay_state *replay)
{
	for (unsigned int port = 0; port < NVC_REPLAY_NUM_PORTS; port++) {
		const struct nvc_replay_passed *passed = &replay->passed[port];

		if (!passed->num || !is_known(replay, (uint16_t)port))
			continue;
		replay->result->unjudged += passed->num;
		nvc_replay_cannot_judge(replay, passed->conn,
			passed->in_middle
				? NVC_BEGINS_IN_MIDDLE
				: "it was passed over before NVMe/TCP was found on its port");
	}
	if (may_be_ours(replay, &replay->fragments))
		nvc_replay_cannot_judge(replay, 0, "TCP in IP fragments is not put together");
	if (may_be_ours(replay, &replay->cut))
		nvc_replay_cannot_judge(
			replay, 0, "packets are cut within their headers (snap length)");
}

int nvc_ports_host(const struct nvc_flow *flow, int first)
{
	const uint16_t *port = flow->conn->ends.port;

	if (flow->conn->from_start)
		return 0;
	return is_known(flow->replay, port[first]) && !is_known(flow->replay, port[!first]) ? !first
											    : first;
}
