/* SPDX-License-Identifier: BSD-3-Clause */
/* Properties and admin commands (Base 2.2, 3.1.4 and 5). */
#include "target/teardown.h"

#include <stdlib.h>
#include <string.h>

enum {
	VERSION = 0x00020000,
	SHN_SHIFT = 14,
	SHST_COMPLETE = 2 << 2,
	AER_LIMIT_EXCEEDED = 0x105,
	CNS_DESCRIPTORS = 0x03,
};

/* MQES 127, CQR, TO 7.5 s, the NVM command set, CRMS: ready with media only. */
#define CAPABILITIES                                                                               \
	((uint64_t)(MAX_QUEUE_ENTRIES - 1) | 1u << 16 | 15u << 24 | 1ull << 37 | 1ull << 59)

static const struct {
	uint32_t ofst;
	uint8_t size;
	bool writable;
} properties[] = {
	{NVC_PROP_CAP, 8, false},
	{NVC_PROP_VS, 4, false},
	{NVC_PROP_CC, 4, true},
	{NVC_PROP_CSTS, 4, false},
	{NVC_PROP_NSSR, 4, true},
	{NVC_PROP_CRTO, 4, false},
};

static uint64_t get_property(const struct controller *controller, uint32_t ofst)
{
	switch (ofst) {
	case NVC_PROP_CAP:
		return CAPABILITIES;
	case NVC_PROP_VS:
		return VERSION;
	case NVC_PROP_CC:
		return controller->cc;
	case NVC_PROP_CSTS:
		return controller->csts;
	case NVC_PROP_CRTO:
		return 1;
	default:
		return 0;
	}
}

static void set_cc(struct conn *conn, uint32_t cc)
{
	struct controller *controller = conn->controller;
	bool was_enabled = controller->cc & 1;

	controller->cc = cc;
	if (!was_enabled && (cc & 1)) {
		controller->csts = NVC_CSTS_RDY;
		nvc_target_say(
			conn->target, "controller %u enabled", (unsigned int)controller->cntlid);
	} else if (was_enabled && !(cc & 1)) {
		controller->csts = 0;
		nvc_command_abort_all(conn, NVC_SC_ABORTED_SQ_DELETION);
		nvc_teardown(conn, TD_RESET);
		if (!conn->tx_auth && conn->auth != AUTH_IDLE)
			conn->auth = AUTH_DONE;
		if (!conn->tx_auth && nvc_policy_open(conn))
			conn->auth_deadline = NVC_NEVER;
	}
	if ((cc >> SHN_SHIFT & 3) && !(controller->csts & SHST_COMPLETE)) {
		controller->csts |= SHST_COMPLETE;
		nvc_teardown(conn, TD_SHUTDOWN);
	}
}

struct outcome nvc_exec_property(const struct request *req, bool set)
{
	struct conn *conn = req->conn;
	const struct nvc_target *target = conn->target;
	struct nvc_cmd_property cmd;
	size_t i = 0;

	if (nvc_decode(set ? &nvc_cmd_property_set_layout : &nvc_cmd_property_get_layout, req->sqe,
		    &cmd, NULL, NULL) != NVC_OK)
		return (struct outcome){.status = NVC_SC_INTERNAL};
	if (conn->qid != 0 && KEPT(target, PROP_ON_IO))
		return (struct outcome){.status = NVC_SC_INVALID_FIELD};
	while (i < sizeof(properties) / sizeof(properties[0]) && properties[i].ofst != cmd.ofst)
		i++;
	if (i == sizeof(properties) / sizeof(properties[0]) ||
		properties[i].size != ((cmd.attrib & 7) == 1 ? 8 : 4)) {
		if (KEPT(target, PROP_FORM))
			return (struct outcome){.status = NVC_SC_INVALID_FIELD};
		return (struct outcome){.result = get_property(conn->controller, cmd.ofst)};
	}
	if (!set)
		return (struct outcome){.result = FIELD(target, PROP_VALUE,
						get_property(conn->controller, cmd.ofst))};
	if (!properties[i].writable)
		return (struct outcome){.status = NVC_SC_INVALID_FIELD};
	if (cmd.ofst == NVC_PROP_CC)
		set_cc(conn, (uint32_t)cmd.value);
	return (struct outcome){0};
}

/* ---- Identify ---- */

static void fill_text(uint8_t *field, size_t size, const char *text)
{
	size_t len = strlen(text);

	memset(field, ' ', size);
	memcpy(field, text, len < size ? len : size);
}

static enum nvc_result identify_controller(const struct conn *conn, struct nvc_writer *writer)
{
	const struct subsystem *subsystem = conn->controller->subsystem;
	struct nvc_identify_controller id = {
		.mdts = MDTS,
		.cntlid = conn->controller->cntlid,
		.ver = VERSION,
		.cntrltype = subsystem->discovery ? 2 : 1,
		.kas = 1,
		.sqes = 0x66,
		.cqes = 0x44,
		.maxcmd = MAX_QUEUE_ENTRIES,
		.nn = subsystem->discovery ? 0 : 1,
		.sgls = 1 | 1 << 20, /* SGLs, and offsets into the capsule */
		.ioccsz = (NVC_SQE_LEN + NVC_PDU_MAX_IN_CAPSULE) / 16,
		.iorcsz = NVC_CQE_LEN / 16,
		.msdbd = 1,
		.ofcs = 1, /* Disconnect */
	};

	fill_text(id.sn, sizeof(id.sn), "NVMECONFORM1");
	fill_text(id.mn, sizeof(id.mn), "nvme-conform reference target");
	fill_text(id.fr, sizeof(id.fr), NVC_VERSION);
	nvc_nqn_put(id.subnqn, subsystem->nqn);
	return nvc_encode(&nvc_identify_controller_layout, &id, NULL, writer);
}

static enum nvc_result identify_namespace(const struct conn *conn, struct nvc_writer *writer)
{
	const struct subsystem *subsystem = conn->controller->subsystem;
	struct nvc_identify_namespace id = {.nsze = subsystem->num_blocks,
		.ncap = subsystem->num_blocks,
		.nuse = subsystem->num_blocks,
		.lbaf0 = subsystem->block_size == 4096 ? 12u << 16 : 9u << 16};

	return nvc_encode(&nvc_identify_namespace_layout, &id, NULL, writer);
}

/* UUID and command set of the namespace; the UUID follows from the subsystem NQN. */
static void identify_descriptors(const struct conn *conn, uint8_t page[NVC_IDENTIFY_LEN])
{
	const char *nqn = conn->controller->subsystem->nqn;

	page[0] = 3;
	page[1] = 16;
	for (size_t i = 0; nqn[i]; i++)
		page[4 + i % 16] = (uint8_t)(page[4 + i % 16] * 31 + nqn[i]);
	page[4 + 6] = (uint8_t)((page[4 + 6] & 0x0f) | 0x80);
	page[4 + 8] = (uint8_t)((page[4 + 8] & 0x3f) | 0x80);
	page[20] = 4;
	page[21] = 1;
}

static struct outcome identify(const struct request *req, const struct nvc_cmd_nvme *cmd)
{
	struct conn *conn = req->conn;
	uint8_t *page = calloc(1, NVC_IDENTIFY_LEN);
	struct nvc_writer writer = nvc_writer_over(page, NVC_IDENTIFY_LEN);
	bool discovery = conn->controller->subsystem->discovery;
	struct outcome outcome = {.status = NVC_SC_INVALID_FIELD};
	enum nvc_result result = NVC_E_INVALID;

	if (!page)
		return (struct outcome){.status = NVC_SC_INTERNAL};
	switch (cmd->cdw10 & 0xff) {
	case NVC_CNS_CONTROLLER:
		result = identify_controller(conn, &writer);
		break;
	case NVC_CNS_NAMESPACE:
		outcome.status = NVC_SC_INVALID_NAMESPACE;
		if (!discovery && cmd->nsid == 1)
			result = identify_namespace(conn, &writer);
		break;
	case NVC_CNS_ACTIVE_NAMESPACES:
		page[0] = !discovery && cmd->nsid == 0;
		result = NVC_OK;
		break;
	case CNS_DESCRIPTORS:
		outcome.status = NVC_SC_INVALID_NAMESPACE;
		if (discovery || cmd->nsid != 1)
			break;
		identify_descriptors(conn, page);
		result = NVC_OK;
		break;
	default:
		break;
	}
	if (result == NVC_OK) {
		nvc_command_return(conn, &req->head, nvc_slice_of(page, NVC_IDENTIFY_LEN));
		outcome.done = true;
	}
	free(page);
	return outcome;
}

/* ---- the others ---- */

static struct outcome features(const struct request *req, const struct nvc_cmd_nvme *cmd, bool set)
{
	struct conn *conn = req->conn;
	struct controller *controller = conn->controller;
	uint32_t num = conn->target->limits.max_queues - 1u;

	switch (cmd->cdw10 & 0xff) {
	case NVC_FEATURE_NUM_QUEUES:
		if (set && ((cmd->cdw11 & 0xffff) == 0xffff || cmd->cdw11 >> 16 == 0xffff))
			return (struct outcome){.status = NVC_SC_INVALID_FIELD};
		return (struct outcome){.result = num << 16 | num};
	case NVC_FEATURE_KATO:
		if (!set)
			return (struct outcome){.result = controller->kato};
		controller->kato = cmd->cdw11;
		if (conn->target->limits.kato_max &&
			controller->kato > conn->target->limits.kato_max)
			controller->kato = conn->target->limits.kato_max;
		return (struct outcome){.result = controller->kato};
	default:
		return (struct outcome){.status = NVC_SC_INVALID_FIELD};
	}
}

/* Nothing ever happens here that is worth an event: the request waits for a reset or an abort. */
static struct outcome async_event(const struct request *req)
{
	struct conn *conn = req->conn;
	struct command *command;

	if (conn->num_async_events >= MAX_ASYNC_EVENTS)
		return (struct outcome){.status = AER_LIMIT_EXCEEDED};
	command = calloc(1, sizeof(*command));
	if (!command)
		return (struct outcome){.status = NVC_SC_INTERNAL};
	command->async_event = true;
	command->cid = req->head.cid;
	command->next = conn->commands;
	conn->commands = command;
	conn->num_commands++;
	conn->num_async_events++;
	return (struct outcome){.done = true};
}

struct outcome nvc_exec_admin(const struct request *req)
{
	struct conn *conn = req->conn;
	struct nvc_cmd_nvme cmd;

	if (nvc_decode(&nvc_cmd_nvme_layout, req->sqe, &cmd, NULL, NULL) != NVC_OK)
		return (struct outcome){.status = NVC_SC_INTERNAL};
	if (!(conn->controller->csts & NVC_CSTS_RDY))
		return (struct outcome){.status = NVC_SC_COMMAND_SEQUENCE};
	switch (req->head.opc) {
	case NVC_ADMIN_IDENTIFY:
		return identify(req, &cmd);
	case NVC_ADMIN_GET_LOG_PAGE:
		return nvc_exec_discovery_log(req, &cmd);
	case NVC_ADMIN_SET_FEATURES:
	case NVC_ADMIN_GET_FEATURES:
		return features(req, &cmd, req->head.opc == NVC_ADMIN_SET_FEATURES);
	case NVC_ADMIN_ASYNC_EVENT:
		return async_event(req);
	case NVC_ADMIN_KEEP_ALIVE:
		return (struct outcome){0};
	default:
		return (struct outcome){.status = NVC_SC_INVALID_OPCODE};
	}
}
