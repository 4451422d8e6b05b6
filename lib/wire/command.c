/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/command.h"

#include <string.h>

#include "wire/rows.h"

const struct nvc_name nvc_status_names[] = {
	{NVC_SC_SUCCESS, "Success"},
	{NVC_SC_INVALID_OPCODE, "Invalid Command Opcode"},
	{NVC_SC_INVALID_FIELD, "Invalid Field in Command"},
	{NVC_SC_INTERNAL, "Internal Error"},
	{NVC_SC_ABORTED_SQ_DELETION, "Command Aborted due to SQ Deletion"},
	{NVC_SC_INVALID_NAMESPACE, "Invalid Namespace or Format"},
	{NVC_SC_COMMAND_SEQUENCE, "Command Sequence Error"},
	{NVC_SC_DATA_SGL_LENGTH, "Data SGL Length Invalid"},
	{NVC_SC_SGL_TYPE, "SGL Descriptor Type Invalid"},
	{NVC_SC_OPERATION_DENIED, "Operation Denied"},
	{NVC_SC_SGL_OFFSET, "SGL Offset Invalid"},
	{NVC_SC_KATO_EXPIRED, "Keep Alive Timeout Expired"},
	{NVC_SC_KATO_INVALID, "Keep Alive Timeout Invalid"},
	{NVC_SC_TRANSIENT_TRANSPORT, "Transient Transport Error"},
	{NVC_SC_LBA_RANGE, "LBA Out of Range"},
	{NVC_SC_INVALID_QUEUE_ID, "Invalid Queue Identifier"},
	{NVC_SC_INVALID_LOG_PAGE, "Invalid Log Page"},
	{NVC_SC_CONNECT_FORMAT, "Connect Incompatible Format"},
	{NVC_SC_CONNECT_BUSY, "Connect Controller Busy"},
	{NVC_SC_CONNECT_PARAMETERS, "Connect Invalid Parameters"},
	{NVC_SC_CONNECT_RESTART_DISCOVERY, "Connect Restart Discovery"},
	{NVC_SC_CONNECT_HOST, "Connect Invalid Host"},
	{NVC_SC_INVALID_QUEUE_TYPE, "Invalid Queue Type"},
	{NVC_SC_DISCOVER_RESTART, "Discover Restart"},
	{NVC_SC_AUTH_REQUIRED, "Authentication Required"},
	{0, NULL},
};

static const struct nvc_name opcode_names[] = {
	{NVC_OPC_FABRICS, "Fabrics"},
	{0, NULL},
};

static const struct nvc_name admin_names[] = {
	{NVC_ADMIN_GET_LOG_PAGE, "Get Log Page"},
	{NVC_ADMIN_IDENTIFY, "Identify"},
	{NVC_ADMIN_SET_FEATURES, "Set Features"},
	{NVC_ADMIN_GET_FEATURES, "Get Features"},
	{NVC_ADMIN_ASYNC_EVENT, "Asynchronous Event Request"},
	{NVC_ADMIN_KEEP_ALIVE, "Keep Alive"},
	{0, NULL},
};

static const struct nvc_name io_names[] = {
	{NVC_IO_FLUSH, "Flush"},
	{NVC_IO_WRITE, "Write"},
	{NVC_IO_READ, "Read"},
	{0, NULL},
};

static const struct nvc_name fctype_names[] = {
	{NVC_FCTYPE_PROPERTY_SET, "Property Set"},
	{NVC_FCTYPE_CONNECT, "Connect"},
	{NVC_FCTYPE_PROPERTY_GET, "Property Get"},
	{NVC_FCTYPE_AUTH_SEND, "Authentication Send"},
	{NVC_FCTYPE_AUTH_RECEIVE, "Authentication Receive"},
	{NVC_FCTYPE_DISCONNECT, "Disconnect"},
	{0, NULL},
};

/* The SGL is kept readable in commands without data too: Linux fills in a descriptor of length 0 there. */
#define HEAD_ROWS(type)                                                                            \
	ROW_UINT(0, type, head.opc, "opc", opcode_names),                                          \
		ROW_UINT(1, type, head.flags, "flags", NULL),                                      \
		ROW_UINT(2, type, head.cid, "cid", NULL),                                          \
		ROW_UINT(24, type, head.sgl_addr, "sgl_addr", NULL),                               \
		ROW_UINT(32, type, head.sgl_len, "sgl_len", NULL), ROW_RESERVED(36, 3),            \
		ROW_UINT(39, type, head.sgl_id, "sgl_id", NULL)

#define FABRICS_ROWS(type)                                                                         \
	HEAD_ROWS(type), ROW_UINT(4, type, fctype, "fctype", fctype_names), ROW_RESERVED(5, 19)

static const struct nvc_field connect_rows[] = {
	FABRICS_ROWS(struct nvc_cmd_connect),
	ROW_UINT(40, struct nvc_cmd_connect, recfmt, "recfmt", NULL),
	ROW_UINT(42, struct nvc_cmd_connect, qid, "qid", NULL),
	ROW_UINT(44, struct nvc_cmd_connect, sqsize, "sqsize", NULL),
	ROW_UINT(46, struct nvc_cmd_connect, cattr, "cattr", NULL),
	ROW_RESERVED(47, 1),
	ROW_UINT(48, struct nvc_cmd_connect, kato, "kato", NULL),
	ROW_UINT(52, struct nvc_cmd_connect, nvmsetid, "nvmsetid", NULL),
	ROW_RESERVED(54, 10),
};

static const struct nvc_field property_get_rows[] = {
	FABRICS_ROWS(struct nvc_cmd_property),
	ROW_UINT(40, struct nvc_cmd_property, attrib, "attrib", NULL),
	ROW_RESERVED(41, 3),
	ROW_UINT(44, struct nvc_cmd_property, ofst, "ofst", NULL),
	ROW_RESERVED(48, 16),
};

static const struct nvc_field property_set_rows[] = {
	FABRICS_ROWS(struct nvc_cmd_property),
	ROW_UINT(40, struct nvc_cmd_property, attrib, "attrib", NULL),
	ROW_RESERVED(41, 3),
	ROW_UINT(44, struct nvc_cmd_property, ofst, "ofst", NULL),
	ROW_UINT(48, struct nvc_cmd_property, value, "value", NULL),
	ROW_RESERVED(56, 8),
};

#define AUTH_ROWS(length_name)                                                                     \
	FABRICS_ROWS(struct nvc_cmd_auth), ROW_RESERVED(40, 1),                                    \
		ROW_UINT(41, struct nvc_cmd_auth, spsp0, "spsp0", NULL),                           \
		ROW_UINT(42, struct nvc_cmd_auth, spsp1, "spsp1", NULL),                           \
		ROW_UINT(43, struct nvc_cmd_auth, secp, "secp", NULL),                             \
		ROW_UINT(44, struct nvc_cmd_auth, length, length_name, NULL), ROW_RESERVED(48, 16)

static const struct nvc_field auth_send_rows[] = {AUTH_ROWS("tl")};
static const struct nvc_field auth_receive_rows[] = {AUTH_ROWS("al")};

static const struct nvc_field disconnect_rows[] = {
	FABRICS_ROWS(struct nvc_cmd_disconnect),
	ROW_UINT(40, struct nvc_cmd_disconnect, recfmt, "recfmt", NULL),
	ROW_RESERVED(42, 22),
};

/* Bytes 40 to 63 depend on a command we do not know: neither fields nor reserved. */
static const struct nvc_field fabrics_rows[] = {FABRICS_ROWS(struct nvc_cmd_fabrics)};

/* Bytes 8 to 23 are CDW2, CDW3 and MPTR, which no command of the suite uses. */
static const struct nvc_field nvme_rows[] = {
	HEAD_ROWS(struct nvc_cmd_nvme),
	ROW_UINT(4, struct nvc_cmd_nvme, nsid, "nsid", NULL),
	ROW_RESERVED(8, 16),
	ROW_UINT(40, struct nvc_cmd_nvme, cdw10, "cdw10", NULL),
	ROW_UINT(44, struct nvc_cmd_nvme, cdw11, "cdw11", NULL),
	ROW_UINT(48, struct nvc_cmd_nvme, cdw12, "cdw12", NULL),
	ROW_UINT(52, struct nvc_cmd_nvme, cdw13, "cdw13", NULL),
	ROW_UINT(56, struct nvc_cmd_nvme, cdw14, "cdw14", NULL),
	ROW_UINT(60, struct nvc_cmd_nvme, cdw15, "cdw15", NULL),
};

const struct nvc_layout nvc_cmd_connect_layout =
	LAYOUT("Connect", connect_rows, struct nvc_cmd_connect, NVC_SQE_LEN);
const struct nvc_layout nvc_cmd_property_get_layout =
	LAYOUT("Property Get", property_get_rows, struct nvc_cmd_property, NVC_SQE_LEN);
const struct nvc_layout nvc_cmd_property_set_layout =
	LAYOUT("Property Set", property_set_rows, struct nvc_cmd_property, NVC_SQE_LEN);
const struct nvc_layout nvc_cmd_auth_send_layout =
	LAYOUT("Authentication Send", auth_send_rows, struct nvc_cmd_auth, NVC_SQE_LEN);
const struct nvc_layout nvc_cmd_auth_receive_layout =
	LAYOUT("Authentication Receive", auth_receive_rows, struct nvc_cmd_auth, NVC_SQE_LEN);
const struct nvc_layout nvc_cmd_disconnect_layout =
	LAYOUT("Disconnect", disconnect_rows, struct nvc_cmd_disconnect, NVC_SQE_LEN);
const struct nvc_layout nvc_cmd_nvme_layout =
	LAYOUT("NVMe command", nvme_rows, struct nvc_cmd_nvme, NVC_SQE_LEN);
const struct nvc_layout nvc_cmd_fabrics_layout =
	LAYOUT("Fabrics command", fabrics_rows, struct nvc_cmd_fabrics, NVC_SQE_LEN);

enum { OPC_AT = 0, FCTYPE_AT = 4 };

struct nvc_cmd_auth nvc_cmd_auth_of(uint8_t fctype, uint32_t length)
{
	return (struct nvc_cmd_auth){.head.opc = NVC_OPC_FABRICS,
		.fctype = fctype,
		.spsp0 = NVC_SPSP0,
		.spsp1 = NVC_SPSP1,
		.secp = NVC_SECP,
		.length = length};
}

const struct nvc_layout *nvc_cmd_layout(struct nvc_slice sqe)
{
	if (sqe.len <= FCTYPE_AT || sqe.data[OPC_AT] != NVC_OPC_FABRICS)
		return &nvc_cmd_nvme_layout;
	switch (sqe.data[FCTYPE_AT]) {
	case NVC_FCTYPE_PROPERTY_SET:
		return &nvc_cmd_property_set_layout;
	case NVC_FCTYPE_CONNECT:
		return &nvc_cmd_connect_layout;
	case NVC_FCTYPE_PROPERTY_GET:
		return &nvc_cmd_property_get_layout;
	case NVC_FCTYPE_AUTH_SEND:
		return &nvc_cmd_auth_send_layout;
	case NVC_FCTYPE_AUTH_RECEIVE:
		return &nvc_cmd_auth_receive_layout;
	case NVC_FCTYPE_DISCONNECT:
		return &nvc_cmd_disconnect_layout;
	default:
		return &nvc_cmd_fabrics_layout;
	}
}

const char *nvc_cmd_name(struct nvc_slice sqe, bool io_queue)
{
	const struct nvc_layout *layout = nvc_cmd_layout(sqe);
	const char *name;

	if (layout != &nvc_cmd_nvme_layout || sqe.len == 0)
		return layout->name;
	name = nvc_name_of(io_queue ? io_names : admin_names, sqe.data[OPC_AT]);
	return name ? name : layout->name;
}

static const struct nvc_field cqe_rows[] = {
	ROW_UINT(0, struct nvc_cqe, result, "result", NULL),
	ROW_UINT(8, struct nvc_cqe, sqhd, "sqhd", NULL),
	ROW_UINT(10, struct nvc_cqe, sqid, "sqid", NULL),
	ROW_UINT(12, struct nvc_cqe, cid, "cid", NULL),
	ROW_UINT(14, struct nvc_cqe, status_field, "status_field", NULL),
};
const struct nvc_layout nvc_cqe_layout = LAYOUT("CQE", cqe_rows, struct nvc_cqe, NVC_CQE_LEN);

/* SC lies in bits 8:1 and SCT in 11:9, side by side, so both move together. */
uint16_t nvc_cqe_status(uint16_t status_field)
{
	return status_field >> 1 & 0x7ff;
}

uint16_t nvc_status_field(uint16_t status, bool dnr)
{
	return (uint16_t)((status & 0x7ff) << 1 | (dnr ? 0x8000 : 0));
}

const char *nvc_status_name(uint16_t status)
{
	const char *name = nvc_name_of(nvc_status_names, status);

	return name ? name : "status";
}

static const struct nvc_field connect_data_rows[] = {
	ROW_BYTES(0, struct nvc_connect_data, hostid, "hostid"),
	ROW_UINT(16, struct nvc_connect_data, cntlid, "cntlid", NULL),
	ROW_RESERVED(18, 238),
	ROW_BYTES(256, struct nvc_connect_data, subnqn, "subnqn"),
	ROW_BYTES(512, struct nvc_connect_data, hostnqn, "hostnqn"),
	ROW_RESERVED(768, 256),
};
const struct nvc_layout nvc_connect_data_layout =
	LAYOUT("Connect data", connect_data_rows, struct nvc_connect_data, NVC_CONNECT_DATA_LEN);

void nvc_nqn_put(uint8_t field[NVC_NQN_FIELD_LEN], const char *nqn)
{
	size_t len = strnlen(nqn, NVC_NQN_FIELD_LEN);

	memset(field, 0, NVC_NQN_FIELD_LEN);
	memcpy(field, nqn, len);
}

bool nvc_nqn_get(const uint8_t field[NVC_NQN_FIELD_LEN], char out[NVC_NQN_MAX_LEN + 1])
{
	const uint8_t *end = memchr(field, 0, NVC_NQN_FIELD_LEN);
	size_t len = end ? (size_t)(end - field) : NVC_NQN_FIELD_LEN;

	out[0] = '\0';
	if (len == 0 || len > NVC_NQN_MAX_LEN)
		return false;
	memcpy(out, field, len + 1);
	return true;
}
