/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O commands on the namespace in memory. */
#include "target/internal.h"

#include <string.h>

static struct outcome read_write(
	const struct request *req, const struct nvc_cmd_nvme *cmd, bool write)
{
	struct conn *conn = req->conn;
	const struct subsystem *subsystem = conn->controller->subsystem;
	uint64_t slba = (uint64_t)cmd->cdw11 << 32 | cmd->cdw10;
	uint64_t num = (uint64_t)(cmd->cdw12 & 0xffff) + 1;
	size_t len = (size_t)num * subsystem->block_size;
	uint8_t *place;

	if (!subsystem->blocks || cmd->nsid != 1)
		return (struct outcome){.status = NVC_SC_INVALID_NAMESPACE};
	if (len > MAX_TRANSFER)
		return (struct outcome){.status = NVC_SC_INVALID_FIELD};
	if (slba >= subsystem->num_blocks || num > subsystem->num_blocks - slba)
		return (struct outcome){.status = NVC_SC_LBA_RANGE};
	place = subsystem->blocks + slba * subsystem->block_size;
	if (write) {
		if (req->data.len != len) /* only when the check of the SGL is off */
			return (struct outcome){.status = NVC_SC_DATA_SGL_LENGTH};
		memcpy(place, req->data.data, len);
		return (struct outcome){0};
	}
	nvc_command_return(conn, &req->head, nvc_slice_of(place, len));
	return (struct outcome){.done = true};
}

struct outcome nvc_exec_io(const struct request *req)
{
	struct nvc_cmd_nvme cmd;

	if (nvc_decode(&nvc_cmd_nvme_layout, req->sqe, &cmd, NULL, NULL) != NVC_OK)
		return (struct outcome){.status = NVC_SC_INTERNAL};
	switch (req->head.opc) {
	case NVC_IO_READ:
	case NVC_IO_WRITE:
		return read_write(req, &cmd, req->head.opc == NVC_IO_WRITE);
	case NVC_IO_FLUSH:
		return (struct outcome){0};
	default:
		return (struct outcome){.status = NVC_SC_INVALID_OPCODE};
	}
}
