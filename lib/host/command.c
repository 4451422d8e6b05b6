/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/queue_state.h"

enum {
	FLAG_EN = 1, /* CC.EN */
	POLL_MS = 10,
	CAP_TO_UNIT_MS = 500,
};

static enum nvc_result do_nvme(struct nvc_queue *queue, const struct nvc_cmd_nvme *fields,
	size_t in_len, struct nvc_completion *done, struct nvc_error *err)
{
	const struct nvc_command command = {
		.layout = &nvc_cmd_nvme_layout, .fields = fields, .in_len = in_len};

	return nvc_queue_do(queue, &command, done, err);
}

static struct nvc_cmd_property property_get(uint32_t ofst)
{
	return (struct nvc_cmd_property){.head.opc = NVC_OPC_FABRICS,
		.fctype = NVC_FCTYPE_PROPERTY_GET,
		.attrib = ofst == NVC_PROP_CAP,
		.ofst = ofst};
}

enum nvc_result nvc_do_property_get(
	struct nvc_queue *queue, uint32_t ofst, struct nvc_completion *done, struct nvc_error *err)
{
	const struct nvc_cmd_property fields = property_get(ofst);
	const struct nvc_command command = {
		.layout = &nvc_cmd_property_get_layout, .fields = &fields};

	return nvc_queue_do(queue, &command, done, err);
}

enum nvc_result nvc_submit_property_get(
	struct nvc_queue *queue, uint32_t ofst, uint16_t *tag, struct nvc_error *err)
{
	const struct nvc_cmd_property fields = property_get(ofst);
	const struct nvc_command command = {
		.layout = &nvc_cmd_property_get_layout, .fields = &fields};

	return nvc_queue_submit(queue, &command, tag, err);
}

enum nvc_result nvc_do_property_set(struct nvc_queue *queue, uint32_t ofst, uint64_t value,
	struct nvc_completion *done, struct nvc_error *err)
{
	const struct nvc_cmd_property fields = {.head.opc = NVC_OPC_FABRICS,
		.fctype = NVC_FCTYPE_PROPERTY_SET,
		.ofst = ofst,
		.value = value};
	const struct nvc_command command = {
		.layout = &nvc_cmd_property_set_layout, .fields = &fields};

	return nvc_queue_do(queue, &command, done, err);
}

enum nvc_result nvc_do_identify(struct nvc_queue *queue, uint8_t cns, uint32_t nsid,
	struct nvc_completion *done, struct nvc_error *err)
{
	const struct nvc_cmd_nvme fields = {
		.head.opc = NVC_ADMIN_IDENTIFY, .nsid = nsid, .cdw10 = cns};

	return do_nvme(queue, &fields, NVC_IDENTIFY_LEN, done, err);
}

enum nvc_result nvc_submit_identify(
	struct nvc_queue *queue, uint8_t cns, uint32_t nsid, uint16_t *tag, struct nvc_error *err)
{
	const struct nvc_cmd_nvme fields = {
		.head.opc = NVC_ADMIN_IDENTIFY, .nsid = nsid, .cdw10 = cns};
	const struct nvc_command command = {
		.layout = &nvc_cmd_nvme_layout, .fields = &fields, .in_len = NVC_IDENTIFY_LEN};

	return nvc_queue_submit(queue, &command, tag, err);
}

enum nvc_result nvc_do_keep_alive(
	struct nvc_queue *queue, struct nvc_completion *done, struct nvc_error *err)
{
	const struct nvc_cmd_nvme fields = {.head.opc = NVC_ADMIN_KEEP_ALIVE};

	return do_nvme(queue, &fields, 0, done, err);
}

enum nvc_result nvc_do_get_log_page(struct nvc_queue *queue, uint8_t lid, uint64_t offset,
	size_t len, struct nvc_completion *done, struct nvc_error *err)
{
	const uint32_t numd = (uint32_t)(len / 4 - 1); /* 0's based dwords */
	const struct nvc_cmd_nvme fields = {.head.opc = NVC_ADMIN_GET_LOG_PAGE,
		.cdw10 = lid | (numd & 0xffff) << 16,
		.cdw11 = numd >> 16,
		.cdw12 = (uint32_t)offset,
		.cdw13 = (uint32_t)(offset >> 32)};

	if (len == 0 || len % 4 != 0)
		return nvc_fail(
			err, NVC_E_INVALID, "a log page is read in dwords, not in %zu bytes", len);
	return do_nvme(queue, &fields, len, done, err);
}

enum nvc_result nvc_do_set_num_queues(
	struct nvc_queue *queue, uint16_t num, struct nvc_completion *done, struct nvc_error *err)
{
	const uint32_t zeros_based = (uint16_t)(num - 1);
	const struct nvc_cmd_nvme fields = {.head.opc = NVC_ADMIN_SET_FEATURES,
		.cdw10 = NVC_FEATURE_NUM_QUEUES,
		.cdw11 = zeros_based << 16 | zeros_based};

	return do_nvme(queue, &fields, 0, done, err);
}

enum nvc_result nvc_submit_async_event(
	struct nvc_queue *queue, uint16_t *tag, struct nvc_error *err)
{
	const struct nvc_cmd_nvme fields = {.head.opc = NVC_ADMIN_ASYNC_EVENT};
	const struct nvc_command command = {.layout = &nvc_cmd_nvme_layout, .fields = &fields};

	return nvc_queue_submit(queue, &command, tag, err);
}

enum nvc_result nvc_do_flush(
	struct nvc_queue *queue, uint32_t nsid, struct nvc_completion *done, struct nvc_error *err)
{
	const struct nvc_cmd_nvme fields = {.head.opc = NVC_IO_FLUSH, .nsid = nsid};

	return do_nvme(queue, &fields, 0, done, err);
}

enum nvc_result nvc_do_read(struct nvc_queue *queue, uint32_t nsid, uint64_t lba, size_t block_len,
	struct nvc_completion *done, struct nvc_error *err)
{
	const struct nvc_cmd_nvme fields = {.head.opc = NVC_IO_READ,
		.nsid = nsid,
		.cdw10 = (uint32_t)lba,
		.cdw11 = (uint32_t)(lba >> 32)}; /* NLB 0: one block */

	return do_nvme(queue, &fields, block_len, done, err);
}

enum nvc_result nvc_do_write(struct nvc_queue *queue, uint32_t nsid, uint64_t lba,
	struct nvc_slice block, bool r2t, struct nvc_completion *done, struct nvc_error *err)
{
	const struct nvc_cmd_nvme fields = {.head.opc = NVC_IO_WRITE,
		.nsid = nsid,
		.cdw10 = (uint32_t)lba,
		.cdw11 = (uint32_t)(lba >> 32)};
	const struct nvc_command command = {.layout = &nvc_cmd_nvme_layout,
		.fields = &fields,
		.out = block,
		.transport_sgl = r2t};

	return nvc_queue_do(queue, &command, done, err);
}

enum nvc_result nvc_do_disconnect(
	struct nvc_queue *queue, struct nvc_completion *done, struct nvc_error *err)
{
	const struct nvc_cmd_disconnect fields = {
		.head.opc = NVC_OPC_FABRICS, .fctype = NVC_FCTYPE_DISCONNECT};
	const struct nvc_command command = {
		.layout = &nvc_cmd_disconnect_layout, .fields = &fields};

	return nvc_queue_do(queue, &command, done, err);
}

static enum nvc_result get_property(
	struct nvc_queue *admin, uint32_t ofst, uint64_t *value, struct nvc_error *err)
{
	struct nvc_completion done;
	enum nvc_result result = nvc_do_property_get(admin, ofst, &done, err);

	if (result == NVC_OK && done.status != NVC_SC_SUCCESS)
		return nvc_fail(err, NVC_E_REFUSED,
			"Property Get %02xh was answered with %03xh (%s)", ofst, done.status,
			nvc_status_name(done.status));
	*value = done.cqe.result;
	return result;
}

/* Writes CC and waits until CSTS.RDY is `ready`. */
static enum nvc_result switch_enable(
	struct nvc_queue *admin, uint32_t cc, uint64_t ready, struct nvc_error *err)
{
	const struct nvc_world *world = admin->host->world;
	struct nvc_completion done;
	uint64_t cap = 0, csts = 0, deadline, cap_to;
	enum nvc_result result = get_property(admin, NVC_PROP_CAP, &cap, err);

	if (result == NVC_OK)
		result = nvc_do_property_set(admin, NVC_PROP_CC, cc, &done, err);
	if (result != NVC_OK)
		return result;
	if (done.status != NVC_SC_SUCCESS)
		return nvc_fail(err, NVC_E_REFUSED, "Property Set CC was answered with %03xh (%s)",
			done.status, nvc_status_name(done.status));
	cap_to = nvc_env_now(&world->env) + NVC_MS(CAP_TO_UNIT_MS) * (cap >> 24 & 0xff);
	deadline = nvc_queue_deadline(admin, 0);
	deadline = deadline > cap_to ? deadline : cap_to;
	for (;;) {
		result = get_property(admin, NVC_PROP_CSTS, &csts, err);
		if (result != NVC_OK)
			return result;
		if ((csts & NVC_CSTS_CFS) != 0)
			return nvc_fail(err, NVC_E_REFUSED, "CSTS.CFS is set after CC was written");
		if ((csts & NVC_CSTS_RDY) == ready)
			return NVC_OK;
		if (nvc_env_now(&world->env) >= deadline)
			return nvc_fail(err, NVC_E_TIMEOUT, "CSTS.RDY did not become %u in time",
				(unsigned int)ready);
		world->wait_until(world->self, nvc_env_now(&world->env) + NVC_MS(POLL_MS));
	}
}

enum nvc_result nvc_do_enable(struct nvc_queue *admin, struct nvc_error *err)
{
	return switch_enable(admin, NVC_CC_ENABLE, NVC_CSTS_RDY, err);
}

enum nvc_result nvc_do_reset(struct nvc_queue *admin, struct nvc_error *err)
{
	return switch_enable(admin, NVC_CC_ENABLE & ~(uint32_t)FLAG_EN, 0, err);
}
