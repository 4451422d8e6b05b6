/* SPDX-License-Identifier: BSD-3-Clause */
/* The discovery log (Base 2.2, 5.1.12.3.1): what this target serves to the host that asks, and how. */
#include "target/internal.h"

#include <stdlib.h>
#include <string.h>

enum {
	TRTYPE_TCP = 3,
	ADRFAM_IPV4 = 1,
	ADRFAM_IPV6 = 2,
	SUBTYPE_NVM = 2,
	SUBTYPE_DISCOVERY = 3,
	TSC_REQUIRED = 1,
	TSC_NOT_REQUIRED = 2,
	TREQ_NO_FLOW_CONTROL = 4,
	TASC_AUTHENTICATION = 1 << 4,
	TASC_CONCATENATION = 2 << 4,
	SECTYPE_TLS13 = 2,
};

static bool visible(
	const struct nvc_target *target, const struct subsystem *subsystem, const char *hostnqn)
{
	return subsystem->allow_any_host ||
	       nvc_target_host_row(target, hostnqn, subsystem->nqn) != NULL;
}

static void put_text(uint8_t *field, size_t size, const char *text)
{
	size_t len = strlen(text);

	memset(field, ' ', size);
	memcpy(field, text, len < size ? len : size);
}

static struct nvc_discovery_entry make_entry(
	const struct conn *conn, const struct port *port, const struct subsystem *subsystem)
{
	const struct nvc_target *target = conn->target;
	const struct host *host =
		nvc_target_host_row(target, conn->controller->hostnqn, subsystem->nqn);
	struct nvc_discovery_entry entry = {.trtype = TRTYPE_TCP,
		.adrfam = strchr(port->traddr, ':') ? ADRFAM_IPV6 : ADRFAM_IPV4,
		.subtype = subsystem->discovery ? SUBTYPE_DISCOVERY : SUBTYPE_NVM,
		.treq = TREQ_NO_FLOW_CONTROL,
		.portid = (uint16_t)(port - target->ports + 1),
		.cntlid = NVC_CNTLID_DYNAMIC,
		.asqsz = 32};
	bool tls = port->tls == NVC_TLS_REQUIRED;

	entry.treq |= (uint8_t)FIELD(target, DISC_SECTYPE, tls) ? TSC_REQUIRED : TSC_NOT_REQUIRED;
	entry.sectype = FIELD(target, DISC_SECTYPE, tls) ? SECTYPE_TLS13 : 0;
	if (FIELD(target, DISC_TASC, host && host->auth == NVC_POLICY_REQUIRED))
		entry.treq |= host && host->concat == NVC_POLICY_REQUIRED && !tls
				      ? TASC_CONCATENATION
				      : TASC_AUTHENTICATION;
	put_text(entry.trsvcid, sizeof(entry.trsvcid), port->trsvcid);
	put_text(entry.traddr, sizeof(entry.traddr), port->traddr);
	nvc_nqn_put(entry.subnqn, subsystem->nqn);
	return entry;
}

/* Writes the whole log; with a NULL writer it only counts the records. */
static uint64_t write_log(const struct conn *conn, struct nvc_writer *writer)
{
	const struct nvc_target *target = conn->target;
	uint64_t num = 0;

	for (size_t p = 0; p < target->num_ports; p++) {
		for (size_t s = 0; s < target->num_subsystems; s++) {
			struct nvc_discovery_entry entry;
			size_t start;

			if (!visible(target, &target->subsystems[s], conn->controller->hostnqn))
				continue;
			num++;
			if (!writer)
				continue;
			entry = make_entry(conn, &target->ports[p], &target->subsystems[s]);
			start = writer->len;
			if (nvc_encode(&nvc_discovery_entry_layout, &entry, NULL, writer) ==
					NVC_OK &&
				writer->len - start < NVC_DISCOVERY_ENTRY_LEN)
				nvc_write_zeros(
					writer, NVC_DISCOVERY_ENTRY_LEN - (writer->len - start));
		}
	}
	return num;
}

static uint8_t *make_log(const struct conn *conn, size_t *len)
{
	struct nvc_discovery_header header = {.genctr = 1, .numrec = write_log(conn, NULL)};
	uint8_t *log;
	struct nvc_writer writer;

	*len = NVC_DISCOVERY_HEADER_LEN + (size_t)header.numrec * NVC_DISCOVERY_ENTRY_LEN;
	log = calloc(1, *len);
	if (!log)
		return NULL;
	writer = nvc_writer_over(log, *len);
	if (nvc_encode(&nvc_discovery_header_layout, &header, NULL, &writer) == NVC_OK &&
		writer.len < NVC_DISCOVERY_HEADER_LEN)
		nvc_write_zeros(&writer, NVC_DISCOVERY_HEADER_LEN - writer.len);
	write_log(conn, &writer);
	return log;
}

struct outcome nvc_exec_discovery_log(const struct request *req, const struct nvc_cmd_nvme *cmd)
{
	struct conn *conn = req->conn;
	uint64_t lpo = (uint64_t)cmd->cdw13 << 32 | cmd->cdw12;
	uint64_t want = (((uint64_t)(cmd->cdw11 & 0xffff) << 16 | cmd->cdw10 >> 16) + 1) * 4;
	size_t len = 0, part;
	uint8_t *log, *answer;

	if (!conn->controller->subsystem->discovery || (cmd->cdw10 & 0xff) != NVC_LOG_DISCOVERY)
		return (struct outcome){.status = NVC_SC_INVALID_LOG_PAGE};
	if (want > MAX_TRANSFER || lpo % 4)
		return (struct outcome){.status = NVC_SC_INVALID_FIELD};
	log = make_log(conn, &len);
	answer = calloc(1, (size_t)want);
	if (!log || !answer) {
		free(log);
		free(answer);
		return (struct outcome){.status = NVC_SC_INTERNAL};
	}
	if (lpo > len && KEPT(conn->target, LOG_BOUNDS)) {
		free(log);
		free(answer);
		return (struct outcome){.status = NVC_SC_INVALID_FIELD};
	}
	if (lpo > len) /* the defect: bytes that are nobody's business, here made up */
		memset(answer, 0xa5, (size_t)want);
	part = lpo < len ? len - (size_t)lpo : 0;
	if (part > want)
		part = (size_t)want;
	if (part)
		memcpy(answer, log + lpo, part);
	nvc_command_return(conn, &req->head, nvc_slice_of(answer, (size_t)want));
	free(log);
	free(answer);
	return (struct outcome){.done = true};
}
