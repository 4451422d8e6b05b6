/* SPDX-License-Identifier: BSD-3-Clause */
/* The reference target as a service: Connect, commands, data, ends, defects. test_target_pdu.c has the PDUs below. */
#include "target_wire.h"

/* ---- Connect ---- */

struct connect_case {
	const char *sqe_field;
	uint64_t sqe_value;
	const char *hostnqn, *subnqn; /* NULL: right */
	uint16_t cntlid;	      /* 0: FFFFh */
	uint16_t status;
	uint32_t where;
};

static const struct connect_case connect_cases[] = {
	{NULL, 0, NULL, NULL, 0, 0, 0},
	{"recfmt", 1, NULL, NULL, 0, NVC_SC_CONNECT_FORMAT, 0},
	{"sqsize", 0, NULL, NULL, 0, NVC_SC_CONNECT_PARAMETERS, 44},
	{"sqsize", 4096, NULL, NULL, 0, NVC_SC_CONNECT_PARAMETERS, 44},
	{"qid", 999, NULL, NULL, 0, NVC_SC_CONNECT_PARAMETERS, 42},
	{NULL, 0, NULL, "nqn.nobody", 0, NVC_SC_CONNECT_PARAMETERS, 1 << 16 | 256},
	{NULL, 0, NULL, "", 0, NVC_SC_CONNECT_PARAMETERS, 1 << 16 | 256},
	{NULL, 0, "", NULL, 0, NVC_SC_CONNECT_PARAMETERS, 1 << 16 | 512},
	{NULL, 0, NULL, NULL, 1, NVC_SC_CONNECT_PARAMETERS, 1 << 16 | 16},
	{NULL, 0, "nqn.foreign", NULL, 0, NVC_SC_CONNECT_HOST, 0},
	{NULL, 0, SUB_NQN, NULL, 0, NVC_SC_CONNECT_HOST, 0},
	{"sgl_id", 0x00, NULL, NULL, 0, NVC_SC_SGL_TYPE, 0},
	{"sgl_id", 0x40, NULL, NULL, 0, NVC_SC_SGL_TYPE, 0},
	{"sgl_addr", 4096, NULL, NULL, 0, NVC_SC_SGL_OFFSET, 0},
	{"sgl_len", 1000, NULL, NULL, 0, NVC_SC_DATA_SGL_LENGTH, 0},
};

static uint64_t connect_case(struct wire *wire, const struct connect_case *how, const char *hostnqn,
	uint16_t qid, const struct nvc_bends *pdu_bends, uint16_t *status)
{
	const struct nvc_bend bend = {
		.field = how->sqe_field, .kind = NVC_BEND_SET, .value = how->sqe_value};
	const struct nvc_bends bends = {&bend, how->sqe_field ? 1 : 0};
	uint8_t data[NVC_CONNECT_DATA_LEN] = {0};
	struct nvc_writer writer = nvc_writer_over(data, sizeof(data));
	struct nvc_connect_data fields = {
		.hostid = {1}, .cntlid = how->cntlid ? how->cntlid : NVC_CNTLID_DYNAMIC};
	struct nvc_cmd_connect cmd = {.head = {NVC_OPC_FABRICS, NVC_PSDT_SGL_01B, ++wire->cid, 0,
					      NVC_CONNECT_DATA_LEN, NVC_SGL_IN_CAPSULE},
		.fctype = NVC_FCTYPE_CONNECT,
		.qid = qid,
		.sqsize = 31,
		.kato = 10000};
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD, .data = NVC_SLICE(data)};
	struct nvc_writer sqe = nvc_writer_over(pdu.sqe, sizeof(pdu.sqe));

	nvc_nqn_put(fields.hostnqn, how->hostnqn ? how->hostnqn : hostnqn);
	nvc_nqn_put(fields.subnqn, how->subnqn ? how->subnqn : SUB_NQN);
	ck_assert_int_eq(nvc_encode(&nvc_connect_data_layout, &fields, NULL, &writer), NVC_OK);
	ck_assert_int_eq(nvc_encode(&nvc_cmd_connect_layout, &cmd, &bends, &sqe), NVC_OK);
	put_pdu(wire, &pdu, pdu_bends);
	ck_assert(take(wire, &pdu));
	ck_assert_uint_eq(pdu.ch.type, NVC_PDU_CAPSULE_RESP);
	ck_assert_uint_eq(nvc_get_le(pdu.cqe + 12, 2), wire->cid);
	*status = nvc_cqe_status((uint16_t)nvc_get_le(pdu.cqe + 14, 2));
	return nvc_get_le(pdu.cqe, 8);
}

static const struct connect_case ordinary = {0};

START_TEST(connects_are_judged)
{
	const struct connect_case *how = &connect_cases[_i];
	struct bench *bench = bench_new(NULL);
	struct wire *wire = wire_new(bench);
	uint16_t status;
	uint64_t result;

	initialise(wire, 0);
	result = connect_case(wire, how, HOST_NQN, 0, NULL, &status);
	ck_assert_uint_eq(status, how->status);
	if (status == NVC_SC_CONNECT_PARAMETERS)
		ck_assert_uint_eq(result, how->where);
	if (status == 0)
		ck_assert_uint_eq(result & ~0xffffu, NVC_CONNECT_ATR);
	else
		ck_assert_uint_eq(nvc_target_counters(bench->target).controllers, 0);
	wire_free(wire);
	ck_assert_uint_eq(nvc_target_counters(bench->target).connections, 0);
	bench_free(bench);
}
END_TEST

START_TEST(data_digest_error_fails_the_command_only)
{
	struct bench *bench = bench_new(NULL);
	struct wire *wire = wire_new(bench);
	const struct nvc_bend bend = {.field = "ddgst", .kind = NVC_BEND_XOR, .value = 1};
	const struct nvc_bends bends = {&bend, 1};
	uint16_t status;

	initialise(wire, NVC_DGST_HEADER | NVC_DGST_DATA);
	connect_case(wire, &ordinary, HOST_NQN, 0, &bends, &status);
	ck_assert_uint_eq(status, NVC_SC_TRANSIENT_TRANSPORT);
	connect_case(wire, &ordinary, HOST_NQN, 0, NULL, &status);
	ck_assert_uint_eq(status, 0);
	connect_case(wire, &ordinary, HOST_NQN, 0, NULL, &status);
	ck_assert_uint_eq(status, NVC_SC_COMMAND_SEQUENCE);
	wire_free(wire);
	bench_free(bench);
}
END_TEST

/* ---- commands ---- */

static uint16_t command(struct wire *wire, const struct nvc_layout *layout, void *fields,
	struct nvc_slice data, struct nvc_pdu *last)
{
	struct nvc_sqe_head *head = fields; /* comes first in every command */
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD, .data = data};
	struct nvc_writer sqe = nvc_writer_over(pdu.sqe, sizeof(pdu.sqe));

	head->cid = ++wire->cid;
	head->flags = NVC_PSDT_SGL_01B;
	if (data.len) {
		head->sgl_id = NVC_SGL_IN_CAPSULE;
		head->sgl_len = (uint32_t)data.len;
	}
	ck_assert_int_eq(nvc_encode(layout, fields, NULL, &sqe), NVC_OK);
	put_pdu(wire, &pdu, NULL);
	while (take(wire, last))
		if (last->ch.type == NVC_PDU_CAPSULE_RESP)
			return nvc_cqe_status((uint16_t)nvc_get_le(last->cqe + 14, 2));
	return 0xffff;
}

static uint16_t property(struct wire *wire, bool set, uint8_t attrib, uint32_t ofst, uint64_t value)
{
	struct nvc_cmd_property cmd = {.head.opc = NVC_OPC_FABRICS,
		.fctype = set ? NVC_FCTYPE_PROPERTY_SET : NVC_FCTYPE_PROPERTY_GET,
		.attrib = attrib,
		.ofst = ofst,
		.value = value};
	struct nvc_pdu last;

	return command(wire, set ? &nvc_cmd_property_set_layout : &nvc_cmd_property_get_layout,
		&cmd, nvc_slice_of(NULL, 0), &last);
}

static struct wire *open_queue(struct bench *bench, uint16_t qid, uint16_t cntlid)
{
	struct wire *wire = wire_new(bench);
	struct connect_case how = {.cntlid = cntlid};
	uint16_t status;

	initialise(wire, 0);
	connect_case(wire, &how, OPEN_NQN, qid, NULL, &status);
	ck_assert_uint_eq(status, 0);
	return wire;
}

START_TEST(properties_and_queues)
{
	struct bench *bench = bench_new(NULL);
	struct wire *admin = open_queue(bench, 0, 0), *io, *late = wire_new(bench);
	struct nvc_cmd_disconnect disconnect = {
		.head.opc = NVC_OPC_FABRICS, .fctype = NVC_FCTYPE_DISCONNECT};
	struct nvc_cmd_fabrics odd = {.head.opc = NVC_OPC_FABRICS, .fctype = 0x3f};
	struct connect_case how = {.cntlid = 1};
	struct nvc_pdu last;
	uint16_t status;

	ck_assert_uint_eq(property(admin, false, 1, NVC_PROP_CAP, 0), 0);
	ck_assert_uint_eq(property(admin, false, 0, NVC_PROP_CAP, 0), NVC_SC_INVALID_FIELD);
	ck_assert_uint_eq(property(admin, false, 1, NVC_PROP_CC, 0), NVC_SC_INVALID_FIELD);
	ck_assert_uint_eq(property(admin, false, 0, 0x1000, 0), NVC_SC_INVALID_FIELD);
	ck_assert_uint_eq(
		command(admin, &nvc_cmd_fabrics_layout, &odd, nvc_slice_of(NULL, 0), &last),
		NVC_SC_INVALID_FIELD);
	initialise(late, 0);
	connect_case(late, &how, OPEN_NQN, 1, NULL, &status);
	ck_assert_uint_eq(status, NVC_SC_CONNECT_PARAMETERS); /* not enabled */
	ck_assert_uint_eq(property(admin, true, 0, NVC_PROP_CC, NVC_CC_ENABLE), 0);
	io = open_queue(bench, 1, 1);
	connect_case(late, &how, OPEN_NQN, 1, NULL, &status);
	ck_assert_uint_eq(status, NVC_SC_COMMAND_SEQUENCE); /* QID in use */
	connect_case(late, &how, HOST_NQN, 2, NULL, &status);
	ck_assert_uint_eq(status, NVC_SC_CONNECT_PARAMETERS); /* another host */
	ck_assert_uint_eq(property(io, false, 0, NVC_PROP_CSTS, 0), NVC_SC_INVALID_FIELD);
	ck_assert_uint_eq(command(admin, &nvc_cmd_disconnect_layout, &disconnect,
				  nvc_slice_of(NULL, 0), &last),
		NVC_SC_INVALID_QUEUE_TYPE);
	ck_assert_uint_eq(
		command(io, &nvc_cmd_disconnect_layout, &disconnect, nvc_slice_of(NULL, 0), &last),
		0);
	ck_assert_int_eq(bench->service->wants_end(io->conn), NVC_END_FIN);
	ck_assert_int_eq(bench->service->wants_end(admin->conn), NVC_END_OPEN);
	wire_free(io);
	wire_free(late);
	wire_free(admin);
	bench_free(bench);
}
END_TEST

/* ---- data by R2T ---- */

static void write_by_r2t(struct wire *io, uint32_t blocks, struct nvc_pdu *r2t)
{
	struct nvc_cmd_nvme cmd = {.head = {NVC_IO_WRITE, NVC_PSDT_SGL_01B, ++io->cid, 0,
					   blocks * 512, NVC_SGL_TRANSPORT},
		.nsid = 1,
		.cdw12 = blocks - 1};
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD};
	struct nvc_writer sqe = nvc_writer_over(pdu.sqe, sizeof(pdu.sqe));

	ck_assert_int_eq(nvc_encode(&nvc_cmd_nvme_layout, &cmd, NULL, &sqe), NVC_OK);
	put_pdu(io, &pdu, NULL);
	ck_assert(take(io, r2t));
	ck_assert_uint_eq(r2t->ch.type, NVC_PDU_R2T);
	ck_assert_uint_eq(r2t->xfer.offset, 0);
	ck_assert_uint_eq(r2t->xfer.length, blocks * 512);
}

struct data_fault {
	int32_t cccid, ttag, offset; /* added to the right ones */
	uint32_t length;
	uint16_t fes;
	uint32_t fei;
};

static const struct data_fault data_faults[] = {
	{0, 0, 0, 1024, 0, 0},
	{1, 0, 0, 1024, NVC_FES_INVALID_FIELD, 8},
	{0, 1, 0, 1024, NVC_FES_INVALID_FIELD, 10},
	{0, -1, 0, 1024, NVC_FES_INVALID_FIELD, 10},
	{0, 0, 4, 512, NVC_FES_SEQUENCE, 0},
	{0, 0, 0, 1028, NVC_FES_OUT_OF_RANGE, 16},
	{0, 0, 4096, 512, NVC_FES_OUT_OF_RANGE, 12},
	{0, 0, 0, 16388, NVC_FES_LIMIT_EXCEEDED, 0},
	{0, 0, 0, 32768, NVC_FES_LIMIT_EXCEEDED, 0},
};

START_TEST(data_pdus_are_judged)
{
	static const uint8_t block[32768] = {1, 2, 3};
	const struct data_fault *fault = &data_faults[_i];
	struct bench *bench = bench_new(NULL);
	struct wire *admin = open_queue(bench, 0, 0), *io;
	struct nvc_pdu r2t, data = {.ch.type = NVC_PDU_H2C_DATA};

	ck_assert_uint_eq(property(admin, true, 0, NVC_PROP_CC, NVC_CC_ENABLE), 0);
	io = open_queue(bench, 1, 1);
	write_by_r2t(io, 2, &r2t);
	data.ch.flags = NVC_FLAG_LAST;
	data.xfer.cccid = (uint16_t)(r2t.xfer.cccid + fault->cccid);
	data.xfer.ttag = (uint16_t)(r2t.xfer.ttag + fault->ttag);
	data.xfer.offset = (uint32_t)fault->offset;
	data.xfer.length = fault->length;
	data.data = nvc_slice_of(block, fault->length);
	put_pdu(io, &data, NULL);
	if (fault->fes) {
		expect_term(io, fault->fes, fault->fei);
	} else {
		ck_assert(take(io, &data));
		ck_assert_uint_eq(data.ch.type, NVC_PDU_CAPSULE_RESP);
		ck_assert_uint_eq(nvc_cqe_status((uint16_t)nvc_get_le(data.cqe + 14, 2)), 0);
	}
	wire_free(io);
	wire_free(admin);
	bench_free(bench);
}
END_TEST

/* ---- ends ---- */

/* What ends the admin queue ends its I/O queues: loss, a fatal error, KATO. */
START_TEST(admin_ends_association)
{
	struct bench *bench = bench_new(NULL);
	struct wire *admin = open_queue(bench, 0, 0), *io;
	struct nvc_pdu icreq = {.ch.type = NVC_PDU_IC_REQ};

	ck_assert_uint_eq(property(admin, true, 0, NVC_PROP_CC, NVC_CC_ENABLE), 0);
	io = open_queue(bench, 1, 1);
	ck_assert_int_eq(bench->service->wants_end(io->conn), NVC_END_OPEN);
	if (_i == 0)
		bench->service->ended(admin->conn, NVC_END_RST);
	else if (_i == 1)
		put_pdu(admin, &icreq, NULL);
	else if (_i == 2)
		pass_time(bench, 11);
	else
		ck_assert_uint_eq(property(admin, true, 0, NVC_PROP_CC, NVC_CC_ENABLE ^ 1), 0);
	ck_assert_int_eq(bench->service->wants_end(io->conn), NVC_END_FIN);
	ck_assert_uint_eq(nvc_target_counters(bench->target).controllers, _i == 3);
	ck_assert_int_eq(bench->service->wants_end(admin->conn),
		_i == 1 || _i == 3 ? NVC_END_OPEN : NVC_END_FIN);
	wire_free(io);
	wire_free(admin);
	bench_free(bench);
}
END_TEST

/* Authentication that never begins ends the connection after KATO; the target says why. */
START_TEST(nobody_authenticates)
{
	struct bench *bench = bench_new(NULL);
	struct wire *wire = wire_new(bench);
	uint16_t status;

	initialise(wire, 0);
	connect_case(wire, &ordinary, HOST_NQN, 0, NULL, &status);
	ck_assert_uint_eq(status, 0);
	ck_assert_uint_eq(property(wire, false, 0, NVC_PROP_CSTS, 0), NVC_SC_AUTH_REQUIRED);
	pass_time(bench, 9);
	ck_assert_int_eq(bench->service->wants_end(wire->conn), NVC_END_OPEN);
	pass_time(bench, 2);
	ck_assert_int_eq(bench->service->wants_end(wire->conn), NVC_END_FIN);
	ck_assert_str_eq(bench->said, "the association ends");
	wire_free(wire);
	bench_free(bench);
}
END_TEST

/* A host that sends and never reads is dropped before it eats the memory. */
START_TEST(a_host_that_never_reads)
{
	struct bench *bench = bench_new(NULL);
	struct wire *admin = open_queue(bench, 0, 0);
	struct nvc_cmd_nvme cmd = {.head = {NVC_ADMIN_IDENTIFY, NVC_PSDT_SGL_01B, 1, 0,
					   NVC_IDENTIFY_LEN, NVC_SGL_TRANSPORT},
		.cdw10 = NVC_CNS_CONTROLLER};
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD};
	struct nvc_writer sqe = nvc_writer_over(pdu.sqe, sizeof(pdu.sqe));

	ck_assert_uint_eq(property(admin, true, 0, NVC_PROP_CC, NVC_CC_ENABLE), 0);
	ck_assert_int_eq(nvc_encode(&nvc_cmd_nvme_layout, &cmd, NULL, &sqe), NVC_OK);
	for (int i = 0; i < 10000; i++)
		put_pdu(admin, &pdu, NULL);
	ck_assert_int_eq(bench->service->wants_end(admin->conn), NVC_END_RST);
	ck_assert_uint_lt(bench->service->memory(bench->service->self), 40u << 20);
	wire_free(admin);
	bench_free(bench);
}
END_TEST

/* ---- defects and configuration ---- */

START_TEST(defects_are_well_formed)
{
	struct bench *bench = bench_new(NULL);
	struct nvc_target_defect a, b;
	struct nvc_error err = {0};
	size_t num = nvc_target_num_defects();

	ck_assert_uint_gt(num, 150);
	for (size_t i = 0; i < num; i++) {
		ck_assert(nvc_target_defect_at(i, &a));
		ck_assert(*a.name && *a.text && *a.rule && *a.origin && *a.requirement);
		for (size_t k = i + 1; k < num; k++) {
			ck_assert(nvc_target_defect_at(k, &b));
			ck_assert_str_ne(a.name, b.name);
		}
		ck_assert_int_eq(nvc_target_set_defect(bench->target, a.name, &err), NVC_OK);
	}
	ck_assert(!nvc_target_defect_at(num, &a));
	ck_assert_int_eq(nvc_target_set_defect(bench->target, "free-sq", &err), NVC_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "free-sq-on-success"));
	bench_free(bench);
}
END_TEST

START_TEST(contradictions_are_refused)
{
	const struct nvc_target_subsystem good = {.nqn = SUB_NQN},
					  odd = {.nqn = SUB_NQN, .block_size = 100};
	const struct nvc_target_host no_key = {.hostnqn = HOST_NQN, .auth = NVC_POLICY_REQUIRED};
	const struct nvc_target_host no_auth = {
		.hostnqn = HOST_NQN, .concat = NVC_POLICY_PERMITTED};
	const struct nvc_target_config configs[] = {{.subsystems = &odd, .num_subsystems = 1},
		{.subsystems = &good, .num_subsystems = 1, .hosts = &no_key, .num_hosts = 1},
		{.subsystems = &good, .num_subsystems = 1, .hosts = &no_auth, .num_hosts = 1},
		{.cpda = 32}, {.maxh2cdata = 4098}};
	const struct nvc_env env = nvc_env_system();
	struct nvc_error err = {0};

	ck_assert_ptr_null(nvc_target_new(&configs[_i], &env, &err));
	ck_assert_int_eq(err.result, NVC_E_INVALID);
	ck_assert(err.text[0]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reference target");
	TCase *tc = tcase_create("bytes");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, connects_are_judged, 0,
		(int)(sizeof(connect_cases) / sizeof(connect_cases[0])));
	tcase_add_test(tc, data_digest_error_fails_the_command_only);
	tcase_add_test(tc, properties_and_queues);
	tcase_add_loop_test(
		tc, data_pdus_are_judged, 0, (int)(sizeof(data_faults) / sizeof(data_faults[0])));
	tcase_add_loop_test(tc, admin_ends_association, 0, 4);
	tcase_add_test(tc, nobody_authenticates);
	tcase_add_test(tc, a_host_that_never_reads);
	tcase_add_test(tc, defects_are_well_formed);
	tcase_add_loop_test(tc, contradictions_are_refused, 0, 5);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
