/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference target under hostile hosts: raw bytes, well-framed nonsense, authentication messages, time and endings,
 * on several connections, with any defect set. Input: chunks of one byte of what to do, one of how much, and data.
 */
#include "fuzz_main.h"
#include "target/target.h"
#include "wire/auth.h"
#include "wire/command.h"

#include <string.h>

enum { MAX_CONNS = 3 };

struct world {
	struct nvc_target *target;
	const struct nvc_service *service;
	void *conns[MAX_CONNS];
	uint64_t now;
	uint32_t random;
	uint16_t cid;
	size_t at;
};

static uint64_t clock_of(void *self)
{
	return ((struct world *)self)->now;
}

static void random_of(void *self, uint8_t *out, size_t len)
{
	struct world *w = self;

	for (size_t i = 0; i < len; i++) {
		w->random = w->random * 1103515245u + 12345u;
		out[i] = (uint8_t)(w->random >> 16);
	}
}

static void drain(struct world *w)
{
	uint8_t out[4096];

	for (size_t i = 0; i < MAX_CONNS; i++) {
		if (!w->conns[i])
			continue;
		while (w->service->output(w->conns[i], out, sizeof(out)))
			;
		if (w->service->wants_end(w->conns[i]) != NVC_END_OPEN) {
			w->service->release(w->conns[i]);
			w->conns[i] = NULL;
		}
	}
}

static void *conn_of(struct world *w)
{
	if (!w->conns[w->at])
		w->conns[w->at] = w->service->accept(w->service->self, 0);
	return w->conns[w->at];
}

static void send_pdu(struct world *w, const struct nvc_pdu *pdu)
{
	static const struct nvc_pdu_mode mode = {0};
	uint8_t bytes[16384];
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));

	if (nvc_pdu_encode(pdu, &mode, NULL, &writer) == NVC_OK)
		w->service->input(conn_of(w), nvc_writer_slice(&writer));
}

/* A capsule with `fields` in its SQE and `data` in the capsule. */
static void send_command(
	struct world *w, const struct nvc_layout *layout, const void *fields, struct nvc_slice data)
{
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD, .data = data};
	struct nvc_writer writer = nvc_writer_over(pdu.sqe, sizeof(pdu.sqe));

	if (nvc_encode(layout, fields, NULL, &writer) == NVC_OK)
		send_pdu(w, &pdu);
}

static struct nvc_sqe_head head(struct world *w, size_t in, size_t out)
{
	return (struct nvc_sqe_head){.opc = NVC_OPC_FABRICS,
		.flags = NVC_PSDT_SGL_01B,
		.cid = ++w->cid,
		.sgl_len = (uint32_t)(in ? in : out),
		.sgl_id = in ? NVC_SGL_IN_CAPSULE : NVC_SGL_TRANSPORT};
}

static void connect_queue(struct world *w, struct nvc_slice how)
{
	uint8_t bytes[NVC_CONNECT_DATA_LEN];
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));
	struct nvc_connect_data data = {.hostid = {1}, .cntlid = NVC_CNTLID_DYNAMIC};
	struct nvc_cmd_connect cmd = {.head = head(w, NVC_CONNECT_DATA_LEN, 0),
		.fctype = NVC_FCTYPE_CONNECT,
		.sqsize = 31,
		.kato = 1000};

	if (how.len && how.data[0] & 1) {
		cmd.qid = 1;
		data.cntlid = 1;
	}
	nvc_nqn_put(data.hostnqn, how.len && how.data[0] & 2 ? "nqn.open" : "nqn.host");
	nvc_nqn_put(data.subnqn, how.len && how.data[0] & 4 ? NVC_DISCOVERY_NQN : "nqn.sub");
	if (nvc_encode(&nvc_connect_data_layout, &data, NULL, &writer) != NVC_OK)
		return;
	if (writer.len < sizeof(bytes))
		nvc_write_zeros(&writer, sizeof(bytes) - writer.len);
	send_command(w, &nvc_cmd_connect_layout, &cmd, nvc_writer_slice(&writer));
}

static void auth_send(struct world *w, struct nvc_slice message)
{
	struct nvc_cmd_auth cmd = {.head = head(w, message.len, 0),
		.fctype = NVC_FCTYPE_AUTH_SEND,
		.spsp0 = NVC_SPSP0,
		.spsp1 = NVC_SPSP1,
		.secp = NVC_SECP,
		.length = (uint32_t)message.len};

	send_command(w, &nvc_cmd_auth_send_layout, &cmd, message);
}

static void auth_receive(struct world *w, struct nvc_slice how)
{
	uint32_t al = how.len > 1 ? how.data[0] | (uint32_t)how.data[1] << 8 : 4096;
	struct nvc_cmd_auth cmd = {.head = head(w, 0, al),
		.fctype = NVC_FCTYPE_AUTH_RECEIVE,
		.spsp0 = NVC_SPSP0,
		.spsp1 = NVC_SPSP1,
		.secp = NVC_SECP,
		.length = al};

	send_command(w, &nvc_cmd_auth_receive_layout, &cmd, nvc_slice_of(NULL, 0));
}

/* A Negotiate of one hash and the NULL group, then a Reply of the right shape: the way behind the format checks. */
static void likely_message(struct world *w, struct nvc_slice how)
{
	uint8_t message[128] = {0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1};

	if (how.len && how.data[0] & 1) {
		memset(message, 0, sizeof(message));
		message[0] = 1;
		message[1] = how.data[0] & 2 ? NVC_MSG_SUCCESS2 & 0xff : NVC_MSG_REPLY & 0xff;
		message[4] = 1;
		message[6] = 32;
		message[8] = how.data[0] >> 2 & 1;
		message[12] = how.data[0] >> 3 & 1;
		auth_send(w, nvc_slice_of(message, message[1] == 2 ? 80 : 16));
	} else {
		if (how.len)
			message[6] = how.data[0] >> 2 & 3;
		auth_send(w, nvc_slice_of(message, 72));
	}
}

static void raw_sqe(struct world *w, struct nvc_slice data)
{
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD};
	size_t len = data.len < NVC_SQE_LEN ? data.len : NVC_SQE_LEN;

	memcpy(pdu.sqe, data.data, len);
	pdu.data = nvc_slice_sub(data, len, data.len);
	send_pdu(w, &pdu);
}

static void nvme(struct world *w, struct nvc_slice how)
{
	struct nvc_cmd_nvme cmd = {.head = head(w, 0, 512), .nsid = 1};

	if (how.len < 4)
		return;
	cmd.head.opc = how.data[0];
	cmd.cdw10 = how.data[1];
	cmd.cdw12 = how.data[2];
	cmd.head.sgl_len = (uint32_t)how.data[3] << 8;
	send_command(w, &nvc_cmd_nvme_layout, &cmd, nvc_slice_of(NULL, 0));
}

static void enable(struct world *w, struct nvc_slice how)
{
	struct nvc_cmd_property cmd = {.head = head(w, 0, 0),
		.fctype = NVC_FCTYPE_PROPERTY_SET,
		.ofst = NVC_PROP_CC,
		.value = NVC_CC_ENABLE};

	if (how.len)
		cmd.value ^= how.data[0];
	send_command(w, &nvc_cmd_property_set_layout, &cmd, nvc_slice_of(NULL, 0));
}

static void h2c_data(struct world *w, struct nvc_slice data)
{
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_H2C_DATA};

	if (data.len < 4)
		return;
	pdu.xfer = (struct nvc_data){.cccid = data.data[0],
		.ttag = data.data[1],
		.offset = data.data[2],
		.length = (uint32_t)data.len - 4};
	pdu.data = nvc_slice_sub(data, 4, data.len);
	send_pdu(w, &pdu);
}

static void step(struct world *w, uint8_t what, struct nvc_slice data)
{
	struct nvc_pdu icreq = {.ch.type = NVC_PDU_IC_REQ};

	switch (what & 15) {
	case 0:
		w->service->input(conn_of(w), data);
		break;
	case 1:
		send_pdu(w, &icreq);
		break;
	case 2:
		connect_queue(w, data);
		break;
	case 3:
		auth_send(w, data);
		break;
	case 4:
		auth_receive(w, data);
		break;
	case 5:
		likely_message(w, data);
		break;
	case 6:
		raw_sqe(w, data);
		break;
	case 7:
		nvme(w, data);
		break;
	case 8:
		enable(w, data);
		break;
	case 9:
		h2c_data(w, data);
		break;
	case 10:
		w->now += NVC_MS(data.len ? data.data[0] * 10u : 1u);
		w->service->tick(w->service->self, w->now);
		break;
	case 11:
		w->service->ended(conn_of(w), NVC_END_RST);
		break;
	case 12:
		w->at = data.len ? data.data[0] % MAX_CONNS : 0;
		break;
	case 13:
		if (data.len > 1) {
			struct nvc_target_defect defect;
			size_t index = data.data[0] | (size_t)data.data[1] << 8;

			if (nvc_target_defect_at(index % nvc_target_num_defects(), &defect))
				(void)nvc_target_set_defect(w->target, defect.name, NULL);
		}
		break;
	default:
		send_pdu(w, &icreq);
		connect_queue(w, data);
		break;
	}
}

static struct nvc_target *make_target(const struct nvc_env *env)
{
	static const struct nvc_target_subsystem subsystems[] = {
		{.nqn = "nqn.sub", .num_blocks = 16},
		{.nqn = NVC_DISCOVERY_NQN, .discovery = true, .allow_any_host = true}};
	struct nvc_target_host hosts[] = {{.hostnqn = "nqn.host",
						  .auth = NVC_POLICY_REQUIRED,
						  .concat = NVC_POLICY_PERMITTED},
		{.hostnqn = "nqn.open"}};
	const struct nvc_target_config config = {
		.subsystems = subsystems, .num_subsystems = 2, .hosts = hosts, .num_hosts = 2};

	hosts[0].host_key.secret.len = hosts[0].controller_key.secret.len = 32;
	return nvc_target_new(&config, env, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.now = NVC_SEC(1)};
	const struct nvc_env env = {.self = &w, .now = clock_of, .random = random_of};
	struct nvc_reader in = nvc_reader_of(nvc_slice_of(data, size));

	w.target = make_target(&env);
	if (!w.target)
		return 0;
	w.service = nvc_target_service(w.target);
	while (nvc_read_left(&in) >= 2) {
		uint8_t what = (uint8_t)nvc_read_le(&in, 1);
		size_t len = (size_t)nvc_read_le(&in, 1) * (what & 0x80 ? 16 : 1);

		if (len > nvc_read_left(&in))
			len = nvc_read_left(&in);
		step(&w, what, nvc_read_bytes(&in, len));
		drain(&w);
		if (w.service->memory(w.service->self) > 64u << 20)
			abort();
	}
	nvc_target_free(w.target);
	return 0;
}
