/* SPDX-License-Identifier: BSD-3-Clause */
/* SQEs, CQEs and command data the suite needs (Base 2.2: 3.3, 6, 5.1.x; docs/protocol.md chapter 2). */
#ifndef NVC_WIRE_COMMAND_H
#define NVC_WIRE_COMMAND_H

#include "wire/pdu.h"

enum nvc_opcode { /* admin and I/O opcodes share numbers; the queue tells which */
	NVC_OPC_FABRICS = 0x7f,
	NVC_ADMIN_GET_LOG_PAGE = 0x02,
	NVC_ADMIN_IDENTIFY = 0x06,
	NVC_ADMIN_SET_FEATURES = 0x09,
	NVC_ADMIN_GET_FEATURES = 0x0a,
	NVC_ADMIN_ASYNC_EVENT = 0x0c,
	NVC_ADMIN_KEEP_ALIVE = 0x18,
	NVC_IO_FLUSH = 0x00,
	NVC_IO_WRITE = 0x01,
	NVC_IO_READ = 0x02,
};

enum nvc_fctype {
	NVC_FCTYPE_PROPERTY_SET = 0x00,
	NVC_FCTYPE_CONNECT = 0x01,
	NVC_FCTYPE_PROPERTY_GET = 0x04,
	NVC_FCTYPE_AUTH_SEND = 0x05,
	NVC_FCTYPE_AUTH_RECEIVE = 0x06,
	NVC_FCTYPE_DISCONNECT = 0x08,
};

/* Status = SCT << 8 | SC, as the specification and docs/protocol.md write it ("191h"); DNR and More apart. */
enum nvc_status {
	NVC_SC_SUCCESS = 0x000,
	NVC_SC_INVALID_OPCODE = 0x001,
	NVC_SC_INVALID_FIELD = 0x002,
	NVC_SC_INTERNAL = 0x006,
	NVC_SC_ABORTED_SQ_DELETION = 0x008,
	NVC_SC_COMMAND_SEQUENCE = 0x00c,
	NVC_SC_DATA_SGL_LENGTH = 0x00f,
	NVC_SC_SGL_TYPE = 0x011,
	NVC_SC_OPERATION_DENIED = 0x015,
	NVC_SC_SGL_OFFSET = 0x016,
	NVC_SC_KATO_EXPIRED = 0x019,
	NVC_SC_KATO_INVALID = 0x01a,
	NVC_SC_TRANSIENT_TRANSPORT = 0x022,
	NVC_SC_LBA_RANGE = 0x080,
	NVC_SC_INVALID_NAMESPACE = 0x00b,
	NVC_SC_INVALID_QUEUE_ID = 0x101,
	NVC_SC_INVALID_LOG_PAGE = 0x109,
	NVC_SC_CONNECT_FORMAT = 0x180,
	NVC_SC_CONNECT_BUSY = 0x181,
	NVC_SC_CONNECT_PARAMETERS = 0x182,
	NVC_SC_CONNECT_RESTART_DISCOVERY = 0x183,
	NVC_SC_CONNECT_HOST = 0x184,
	NVC_SC_INVALID_QUEUE_TYPE = 0x185,
	NVC_SC_DISCOVER_RESTART = 0x190,
	NVC_SC_AUTH_REQUIRED = 0x191,
};

enum {
	NVC_PSDT_SGL_01B = 0x40, /* what Linux and SPDK send and nvmet demands */
	NVC_PSDT_SGL_10B = 0x80, /* what Base 2.2 says for Fabrics commands */
	NVC_SGL_IN_CAPSULE = 0x01,
	NVC_SGL_TRANSPORT = 0x5a,
	NVC_SPSP0 = 0x01,
	NVC_SPSP1 = 0x01,
	NVC_SECP = 0xe9,
	NVC_CONNECT_DATA_LEN = 1024,
	NVC_IDENTIFY_LEN = 4096,
	NVC_NQN_FIELD_LEN = 256,
	NVC_NQN_MAX_LEN = 223,
	NVC_HOSTID_LEN = 16,
	NVC_DISCOVERY_HEADER_LEN = 1024,
	NVC_DISCOVERY_ENTRY_LEN = 1024,
	NVC_CNTLID_DYNAMIC = 0xffff,
	NVC_LOG_DISCOVERY = 0x70,
	NVC_CNS_CONTROLLER = 0x01,
	NVC_CNS_NAMESPACE = 0x00,
	NVC_CNS_ACTIVE_NAMESPACES = 0x02,
	NVC_FEATURE_NUM_QUEUES = 0x07,
	NVC_FEATURE_KATO = 0x0f,
	NVC_PROP_CAP = 0x00,
	NVC_PROP_VS = 0x08,
	NVC_PROP_CC = 0x14,
	NVC_PROP_CSTS = 0x1c,
	NVC_PROP_NSSR = 0x20,
	NVC_PROP_CRTO = 0x68,
	NVC_CC_ENABLE = 0x00460001,
	NVC_CSTS_RDY = 1,
	NVC_CSTS_CFS = 2,
	NVC_CONNECT_ATR = 1 << 17, /* in DW0 of the Connect response */
	NVC_CONNECT_ASCR = 1 << 18,
	NVC_CATTR_DISSQFC = 4,
};

#define NVC_DISCOVERY_NQN "nqn.2014-08.org.nvmexpress.discovery"

/* What every SQE begins with, and its SGL descriptor. */
struct nvc_sqe_head {
	uint8_t opc;
	uint8_t flags; /* bits 7:6 PSDT */
	uint16_t cid;
	uint64_t sgl_addr;
	uint32_t sgl_len;
	uint8_t sgl_id; /* byte 15 of the descriptor: type and sub type */
};

/* Commands as structs; the layouts of the same names put them into 64 bytes. `head` comes first in all. */
struct nvc_cmd_connect {
	struct nvc_sqe_head head;
	uint8_t fctype;
	uint16_t recfmt, qid, sqsize;
	uint8_t cattr;
	uint32_t kato;
	uint16_t nvmsetid;
};
struct nvc_cmd_property { /* Get and Set */
	struct nvc_sqe_head head;
	uint8_t fctype;
	uint8_t attrib; /* 0: 4 bytes, 1: 8 bytes */
	uint32_t ofst;
	uint64_t value;
};
struct nvc_cmd_auth { /* Send: length is TL, Receive: AL */
	struct nvc_sqe_head head;
	uint8_t fctype;
	uint8_t spsp0, spsp1, secp;
	uint32_t length;
};
struct nvc_cmd_disconnect {
	struct nvc_sqe_head head;
	uint8_t fctype;
	uint16_t recfmt;
};
struct nvc_cmd_nvme { /* any command that is not Fabrics */
	struct nvc_sqe_head head;
	uint32_t nsid;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
struct nvc_cmd_fabrics { /* any Fabrics command, to learn which it is */
	struct nvc_sqe_head head;
	uint8_t fctype;
};

extern const struct nvc_layout nvc_cmd_connect_layout, nvc_cmd_property_get_layout,
	nvc_cmd_property_set_layout, nvc_cmd_auth_send_layout, nvc_cmd_auth_receive_layout,
	nvc_cmd_disconnect_layout, nvc_cmd_nvme_layout, nvc_cmd_fabrics_layout;

/* nvc_cmd_auth_of returns the fields of an ordinary Authentication Send or Receive (`fctype` says which) of `length` bytes;
 * CID and SGL are left to who sends it. */
struct nvc_cmd_auth nvc_cmd_auth_of(uint8_t fctype, uint32_t length);

/* nvc_cmd_layout returns the layout that fits `sqe` (64 bytes), by OPC and FCTYPE; never NULL. */
const struct nvc_layout *nvc_cmd_layout(struct nvc_slice sqe);

/* nvc_cmd_name returns "Connect", "Authentication Send", "Identify", ... `io_queue` tells whose opcodes apply. */
const char *nvc_cmd_name(struct nvc_slice sqe, bool io_queue);

struct nvc_cqe {
	uint64_t result; /* DW0, DW1 */
	uint16_t sqhd;
	uint16_t sqid;
	uint16_t cid;
	uint16_t
		status_field; /* raw: bit 0 reserved, 8:1 SC, 11:9 SCT, 13:12 CRD, 14 More, 15 DNR */
};
extern const struct nvc_layout nvc_cqe_layout;
extern const struct nvc_name nvc_status_names[];

/* nvc_cqe_status returns SCT << 8 | SC of a status field. */
uint16_t nvc_cqe_status(uint16_t status_field);
/* nvc_status_field packs `status` (SCT << 8 | SC) and DNR into a status field. */
uint16_t nvc_status_field(uint16_t status, bool dnr);
/* nvc_status_name returns "Authentication Required" etc., or "status" for an unknown one. */
const char *nvc_status_name(uint16_t status);

struct nvc_connect_data {
	uint8_t hostid[NVC_HOSTID_LEN];
	uint16_t cntlid;
	uint8_t subnqn[NVC_NQN_FIELD_LEN];
	uint8_t hostnqn[NVC_NQN_FIELD_LEN];
};
extern const struct nvc_layout nvc_connect_data_layout;

/* nvc_nqn_put copies `nqn` into a 256-byte field, zero padded; cut at 256 bytes. */
void nvc_nqn_put(uint8_t field[NVC_NQN_FIELD_LEN], const char *nqn);
/* nvc_nqn_get returns the text of a field in `out` (224 bytes with the NUL). False when it is empty, longer than
 * 223 characters or not terminated. */
bool nvc_nqn_get(const uint8_t field[NVC_NQN_FIELD_LEN], char out[NVC_NQN_MAX_LEN + 1]);

struct nvc_identify_controller { /* the fields the suite and the reference target use, of 4096 bytes */
	uint16_t vid, ssvid;
	uint8_t sn[20], mn[40], fr[8];
	uint8_t mdts;
	uint16_t cntlid;
	uint32_t ver;
	uint8_t cntrltype;
	uint16_t kas;
	uint8_t sqes, cqes;
	uint16_t maxcmd;
	uint32_t nn;
	uint32_t sgls;
	uint8_t subnqn[NVC_NQN_FIELD_LEN];
	uint32_t ioccsz, iorcsz;
	uint16_t icdoff;
	uint8_t fcatt, msdbd;
	uint16_t ofcs;
};
extern const struct nvc_layout nvc_identify_controller_layout;

struct nvc_identify_namespace {
	uint64_t nsze, ncap, nuse;
	uint8_t nlbaf, flbas;
	uint32_t lbaf0; /* 15:0 MS, 23:16 LBADS, 25:24 RP */
};
extern const struct nvc_layout nvc_identify_namespace_layout;

struct nvc_discovery_header {
	uint64_t genctr, numrec;
	uint16_t recfmt;
};
struct nvc_discovery_entry {
	uint8_t trtype, adrfam, subtype, treq;
	uint16_t portid, cntlid, asqsz, eflags;
	uint8_t trsvcid[32];
	uint8_t subnqn[NVC_NQN_FIELD_LEN];
	uint8_t traddr[256];
	uint8_t sectype; /* first byte of TSAS for TCP */
};
extern const struct nvc_layout nvc_discovery_header_layout, nvc_discovery_entry_layout;

#endif
